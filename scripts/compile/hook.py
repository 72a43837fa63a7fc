"""Compile the modules of `modules.txt` with mypyc while the wheel is built (ADR 13).

Hatchling loads this when `HATCH_BUILD_HOOK_ENABLE_CUSTOM=1` is set, and only for wheels; every
other build, and the editable install of the checkout, is of the pure sources. The sources are
copied away first, so that no extension module is ever left beside them, where it would be imported
in their place long after they have changed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULES = Path(__file__).with_name("modules.txt")
_GROUP = "bailiwick"
"""All modules share one extension, `bailiwick__mypyc`, so that calls between them are C calls."""


def modules() -> list[str]:
    """Paths below `src`, as `modules.txt` lists them."""
    lines = (line.partition("#")[0].strip() for line in MODULES.read_text().splitlines())
    return [line for line in lines if line]


class CompileHook(BuildHookInterface[Any]):
    """Adds the extension modules to the wheel, beside the sources that they were made from."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See `BuildHookInterface`.

        Raises:
            SystemExit: mypyc or the C compiler refused; they have said why.
        """
        if version == "editable":
            return
        self._scratch = Path(tempfile.mkdtemp(prefix="bailiwick-compile-"))
        sources = self._scratch / "src"
        shutil.copytree(
            Path(self.root) / "src", sources, ignore=shutil.ignore_patterns("__pycache__", "*.so")
        )
        for made in compile_into(sources, self._scratch / "lib"):
            place = made.relative_to(self._scratch / "lib")
            build_data["force_include"][str(made)] = place.as_posix()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """See `BuildHookInterface`: the wheel is written, the copies can go."""
        if version != "editable":
            shutil.rmtree(self._scratch)


def compile_into(sources: Path, library: Path) -> list[Path]:
    """Compile the listed modules of `sources`; the extension modules, at their places in `library`.

    Needs mypy, setuptools, a C compiler and Python's headers.
    """
    from mypyc.build import mypycify
    from setuptools import setup

    before = Path.cwd()
    os.chdir(sources)
    try:
        # Types were checked strictly from the checkout; here they only steer the compiler.
        cache = library.with_name("cache")
        flags = ["--config-file=", "--ignore-missing-imports", f"--cache-dir={cache}"]
        extensions = mypycify(
            [*flags, *modules()], opt_level="2", debug_level="0", group_name=_GROUP,
            target_dir=str(library.with_name("c")),
        )  # fmt: skip
        build = ["build_ext", f"--build-lib={library}", f"--build-temp={library.with_name('o')}"]
        setup(name=_GROUP, packages=[], ext_modules=extensions, script_args=["-q", *build])
    finally:
        os.chdir(before)
    return sorted(library.rglob("*.so"))
