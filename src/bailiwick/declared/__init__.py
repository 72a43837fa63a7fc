"""Declared objects: YAML in, checked and compiled values out.

The way through this room:

* `load(paths, stored=…, environment=…, tools=…) -> Declared`: read files, check everything, report
  every problem at once (`DeclarationError`, a `ConfigError` with `problems`). `load_text` for one
  text.
* `Declaration.document` and `.digest` are what `ports.ObjectPut` stores; `from_document` reads a
  stored one back. Secrets stay references in it.
* `compile_server`, `compile_person`, `compile_agent`, `compile_mandate` make values of
  declarations, from files and from stores alike; `resolve_server(server, environment)` fills in
  its secrets as `Secret`s.
* `check_tools(declarations, definitions)` holds conditions against the tools' input schemas.
* `warn_rules(declaration, mandate, …)` finds rules of a mandate that can never matter;
* `diff(current, new)` says what applying would change; `schema()` is the JSON Schema for editors.
"""

from bailiwick.declared.circumstances import compile_calendar, compile_networks
from bailiwick.declared.compiling import (
    compile_agent,
    compile_mandate,
    compile_person,
    compile_server,
    resolve_server,
)
from bailiwick.declared.differences import FieldChange, How, ObjectChange, diff
from bailiwick.declared.load import load, load_text, load_texts
from bailiwick.declared.mandate_checks import warn_rules
from bailiwick.declared.objects import (
    Agent,
    Command,
    Declaration,
    Declared,
    DeclaredPerson,
    Server,
    WebAddress,
    from_document,
)
from bailiwick.declared.policies import Policy, compile_policy, place_in
from bailiwick.declared.problems import DeclarationError, Place, Problem
from bailiwick.declared.schema import schema
from bailiwick.declared.secrets import Secret, resolve
from bailiwick.declared.tool_checks import Definitions, ToolFindings, check_tools

__all__ = [
    "Agent",
    "Command",
    "Declaration",
    "DeclarationError",
    "Declared",
    "DeclaredPerson",
    "Definitions",
    "FieldChange",
    "How",
    "ObjectChange",
    "Place",
    "Policy",
    "Problem",
    "Secret",
    "Server",
    "ToolFindings",
    "WebAddress",
    "check_tools",
    "compile_agent",
    "compile_calendar",
    "compile_mandate",
    "compile_networks",
    "compile_person",
    "compile_policy",
    "compile_server",
    "diff",
    "from_document",
    "load",
    "load_text",
    "load_texts",
    "place_in",
    "resolve",
    "resolve_server",
    "schema",
    "warn_rules",
]
