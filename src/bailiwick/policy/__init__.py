"""Organisation policy: Cedar above every mandate.

The way through this room:

* `statements.py` reads Cedar text, bounded before the engine sees it: what each statement is about,
  and what it looks at.
* `input_types.py` reads a tool's input schema as Cedar types (`types.py`), and `expressing.py`
  expresses arguments in them.
* `schema.py` puts together the Cedar schema that policies are written against.
* `circumstances.py` says what else a policy may look at: mandate, run, time.
* `gates.py` prepares for one tool what decides about its calls.
* `policies.py` decides: `CedarPolicies`, the `Policies` that `judge` is given.
* `checking.py` finds everything wrong with policies before they are put in force.

docs/policy.md is the reference, docs/adr/0010 says why it is as it is.
"""

from bailiwick.policy.checking import Flaw, check
from bailiwick.policy.policies import CedarPolicies, House
from bailiwick.policy.schema import Definitions, schema_text
from bailiwick.policy.statements import (
    OrganisationPolicy,
    PolicyTextError,
    Statement,
    read_statements,
)

__all__ = [
    "CedarPolicies",
    "Definitions",
    "Flaw",
    "House",
    "OrganisationPolicy",
    "PolicyTextError",
    "Statement",
    "check",
    "read_statements",
    "schema_text",
]
