// The official SDKs for Node.js, driven by a test: one JSON object a line in, one a line out.
//
//   {"id": 1, "sdk": "openai", "client": {"baseURL": …}, "call": "chat.completions.create",
//    "body": {…}}
//   {"abort": 1}
//
// A call ends with {"id": 1, "done": …} or {"id": 1, "failed": …}. What can be iterated (a stream, a
// page) comes piece by piece before that, as {"id": 1, "piece": …}.
import { createInterface } from "node:readline";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const SDKS = { openai: OpenAI, anthropic: Anthropic };
const FINALS = ["finalChatCompletion", "finalResponse", "finalMessage"];
const running = new Map();

function say(message) {
  process.stdout.write(JSON.stringify(message) + "\n");
}

function familyOf(error) {
  const names = [];
  for (let kind = error?.constructor; kind?.name; kind = Object.getPrototypeOf(kind)) {
    names.push(kind.name);
  }
  return names;
}

function failure(error, attempts) {
  return {
    family: familyOf(error),
    message: String(error.message),
    attempts,
    status: error.status ?? null,
    code: error.code ?? null,
    request_id: error.requestID ?? null,
    headers: error.headers ? Object.fromEntries(error.headers) : null,
  };
}

async function perform({ id, sdk, client, call, body }, count) {
  const path = call.split(".");
  const name = path.pop();
  const counting = (...request) => {
    count.attempts += 1;
    return fetch(...request);
  };
  let owner = new SDKS[sdk]({ ...client, fetch: counting });
  for (const part of path) owner = owner[part];
  const abort = new AbortController();
  running.set(id, abort);
  const going =
    body === null
      ? owner[name]({ signal: abort.signal })
      : owner[name](body, { signal: abort.signal });
  let data = going;
  // A helper (`stream`) is no promise.
  if (typeof going.then === "function") {
    const begun = await going.withResponse();
    data = begun.data;
    say({ id, began: Object.fromEntries(begun.response.headers) });
  }
  if (typeof data?.[Symbol.asyncIterator] !== "function") return data;
  for await (const piece of data) say({ id, piece });
  const final = FINALS.find((one) => typeof data[one] === "function");
  return final ? await data[final]() : null;
}

async function serve(line) {
  const order = JSON.parse(line);
  if (order.abort !== undefined) {
    running.get(order.abort)?.abort();
    return;
  }
  const count = { attempts: 0 };
  try {
    say({ id: order.id, done: (await perform(order, count)) ?? null });
  } catch (error) {
    say({ id: order.id, failed: failure(error, count.attempts) });
  } finally {
    running.delete(order.id);
  }
}

createInterface({ input: process.stdin }).on("line", serve);
