// The console works without this file; with it, pages follow what happens.
// No HTML is ever built from text here: fresh regions come, parsed, from the server itself.

const SECOND = 1000;
const AT_MOST_EVERY = 1 * SECOND;
const serverAhead = Number(document.body.dataset.now) - Date.now();

// --- times ---------------------------------------------------------------------------------

function span(seconds) {
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 120 * 60) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

function words(time, now) {
  const at = Date.parse(time.dateTime);
  if (time.hasAttribute("data-left")) {
    const seconds = Math.floor((at - now) / SECOND);
    return seconds > 0 ? `${span(seconds)} left` : "none left";
  }
  const seconds = Math.floor((now - at) / SECOND);
  return seconds < 5 ? "just now" : `${span(seconds)} ago`;
}

function tellTime() {
  const now = Date.now() + serverAhead;
  for (const time of document.querySelectorAll("time[data-ago], time[data-left]")) {
    const text = words(time, now);
    if (time.textContent !== text) time.textContent = text;
  }
}

// --- following -----------------------------------------------------------------------------

function regions(root) {
  return [...root.querySelectorAll("[data-live]:not([data-live-off])")];
}

function say(text) {
  for (const place of document.querySelectorAll("[data-live-state]")) place.textContent = text;
}

/** Keep what the person was doing inside a region: open folds, typed text, focus. */
function carryOver(from, to) {
  const folds = to.querySelectorAll("details");
  from.querySelectorAll("details").forEach((fold, place) => {
    if (fold.open && folds[place]) folds[place].open = true;
  });
  for (const typed of from.querySelectorAll("textarea[id]")) {
    const same = to.querySelector(`#${CSS.escape(typed.id)}`);
    if (same) same.value = typed.value;
  }
}

function refocus(had, inside) {
  if (!had) return;
  const key = had.id ? `#${CSS.escape(had.id)}` : `[href="${CSS.escape(had.getAttribute("href") ?? "")}"]`;
  inside.querySelector(key)?.focus({ preventScroll: true });
}

/** What a region says, without what changes by itself: times, and buttons that tell they were pressed. */
function says(region) {
  const copy = region.cloneNode(true);
  for (const time of copy.querySelectorAll("time")) time.textContent = time.dateTime;
  for (const button of copy.querySelectorAll("button[data-copy]")) button.remove();
  return copy.textContent;
}

function replace(old, fresh) {
  // A hold's form must not move under the hand that is about to press a button.
  if (old.dataset.state !== undefined && old.dataset.state === fresh.dataset.state) return;
  if (says(old) === says(fresh)) return;
  const had = old.contains(document.activeElement) ? document.activeElement : null;
  carryOver(old, fresh);
  old.replaceWith(document.adoptNode(fresh));
  refocus(had, fresh);
}

function show(page) {
  for (const old of regions(document)) {
    const fresh = page.querySelector(`[data-live="${old.dataset.live}"]`);
    if (fresh) replace(old, fresh);
  }
  document.title = page.title;
  begin(document);
}

let asked = 0;
let waiting = false;

function refresh() {
  if (waiting) return;
  waiting = true;
  setTimeout(load, Math.max(100, asked + AT_MOST_EVERY - Date.now()));
}

function load() {
  waiting = false;
  asked = Date.now();
  // XMLHttpRequest parses the page itself; no script here ever turns text into HTML.
  const request = new XMLHttpRequest();
  request.open("GET", location.href);
  request.responseType = "document";
  request.setRequestHeader("X-Bailiwick-Live", "1");
  request.onload = () => {
    if (request.status === 401) say("You are signed out: reload to sign in.");
    else if (request.status === 200 && request.response) show(request.response);
  };
  request.send();
}

/** Whether a change of call `id` can show on this page: one call's page shows that call only. */
function concerns(id) {
  const shown = regions(document).filter((region) => region.dataset.live !== "count");
  return shown.some((region) => !region.dataset.call || region.dataset.call === id);
}

function follow() {
  const source = new EventSource("/live");
  source.onopen = () => {
    say("Live.");
    refresh(); // whatever happened before the stream was open
    setTimeout(refresh, 2 * SECOND); // and what was still being written then, which nobody was told
  };
  source.onerror = () => say(source.readyState === EventSource.CLOSED ? "Not live: reload." : "Reconnecting…");
  source.addEventListener("hold", refresh);
  source.addEventListener("call", (event) => {
    if (concerns(JSON.parse(event.data).id)) refresh();
  });
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

// --- small comforts ------------------------------------------------------------------------

function begin(root) {
  for (const button of root.querySelectorAll("button[data-copy]")) {
    button.hidden = !navigator.clipboard;
  }
  tellTime();
}

addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  } catch {
    // The browser kept its clipboard to itself: leave the person one key to press.
    getSelection().selectAllChildren(text);
    button.textContent = "Selected: copy it by hand";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 8 * SECOND);
});

addEventListener("submit", (event) => {
  const form = event.target;
  if (!("once" in form.dataset)) return;
  if (form.dataset.once === "sent") event.preventDefault();
  form.dataset.once = "sent";
  form.setAttribute("aria-busy", "true");
});

begin(document);
setInterval(tellTime, SECOND);
follow();
