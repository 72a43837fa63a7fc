"""Write the tiny model: `python -m engines.tiny {file|folder} [--thinks] PATH`."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("form", choices=["file", "folder"])
parser.add_argument("--thinks", action="store_true", help="think before every answer")
parser.add_argument("path", type=Path)
asked = parser.parse_args()
# Each form needs a library that only its own engine's environment has.
import_module(f"engines.tiny.{asked.form}").write(asked.path, thinks=asked.thinks)
