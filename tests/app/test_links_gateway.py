"""Links through a whole gateway, to the published file system server."""

from __future__ import annotations

from pathlib import Path

from tests.app.running import BIN, command, running

SERVER = Path(__file__).parents[2] / (
    "node_modules/@modelcontextprotocol/server-filesystem/dist/index.js"
)


def declared(folder: Path) -> str:
    """The server may reach all of `folder`; the agent only what is in `work`."""
    run = f"[{BIN / 'node'}, {SERVER}, {folder}]"
    rule = f"when: {{path: {{under: {folder / 'work'}}}}}"
    return f"""
servers:
  files: {{command: {run}}}
  apart: {{command: {run}, files: elsewhere}}
people:
  ada: {{name: Ada, roles: [operator]}}
agents:
  clerk: {{owner: ada}}
mandates:
  work:
    from: ada
    to: clerk
    allow:
      - {{tool: files/read_text_file, id: read, {rule}}}
      - {{tool: apart/read_text_file, id: apart, {rule}}}
"""


def test_a_link_out_of_the_folder_is_not_read_and_the_person_sees_where_it_leads(
    tmp_path: Path,
) -> None:
    work, key = tmp_path / "work", tmp_path / "key"
    work.mkdir()
    key.write_text("hush")
    (work / "a.txt").write_text("hello")
    (work / "link").symlink_to(key)
    with running(tmp_path / "gateway", declared(tmp_path)) as gateway:
        gateway.agent_token("clerk")

        def read(server: str, name: str) -> str:
            found = gateway.call(f"{server}/read_text_file", {"path": str(work / name)})
            return str(found["content"][0]["text"])

        assert read("files", "a.txt") == "hello"
        refused = read("files", "link")
        assert "leads elsewhere by a symbolic link" in refused
        assert "key" not in refused.replace(str(tmp_path), "")
        call = gateway.cli("calls", "--limit", "1")["calls"][0]["id"]
        told = command("explain", call, "--data", str(gateway.data), "--as", "ada")
        assert f"`{work / 'link'}` leads to `{key}`" in told.stdout
        assert "recorded is" not in told.stdout  # it comes out as it did then
        # The server itself would have read it: nothing but the look kept it back.
        assert read("apart", "link") == "hush"
        again = gateway.cli("simulate", "work")
        assert (again["calls"], again["flips"]) == (3, 0)
