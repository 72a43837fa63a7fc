"""Files in, checked declarations out.

Everything that is wrong is found and reported at once, each with its place:

1. the files: there, readable, not too large, UTF-8, YAML;
2. each object's shape;
3. no two objects of one name, in one file or in several;
4. what objects say of each other (`cross_checks.py`).
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from bailiwick.core.values import show
from bailiwick.declared.cross_checks import check_references, check_secrets, warn
from bailiwick.declared.objects import Declaration, Declared, merged
from bailiwick.declared.policies import CEDAR_SUFFIX, policy_in
from bailiwick.declared.problems import DeclarationError, Place, Problem
from bailiwick.declared.schema import FILE, SHAPES
from bailiwick.declared.shapes import collect
from bailiwick.declared.tree import Node, Table, parse_yaml, to_json

MAX_FILE_BYTES = 1_048_576
MAX_FILES = 1_000
SUFFIXES = (".yaml", ".yml", CEDAR_SUFFIX)


def load(
    paths: Sequence[Path],
    *,
    stored: Iterable[Declaration] = (),
    environment: Mapping[str, str] | None = None,
    tools: Mapping[str, Collection[str]] | None = None,
) -> Declared:
    """Read and check the declarations in `paths`.

    Reads files; blocking.

    Args:
        paths: files, or folders (every `.yaml`, `.yml` and `.cedar` right inside, in the order of
            names).
        stored: what is declared already; objects may refer to it, and those in `paths` replace it.
        environment: with it, every secret that is referred to must be there.
        tools: names of the tools of each server, where known, for warnings.

    Raises:
        DeclarationError: with every problem found.
    """
    problems: list[Problem] = []
    sources: list[tuple[str, str]] = []
    for path in paths:
        for file in _files(path, problems):
            text = _read(file, problems)
            if text is not None:
                sources.append((str(file), text))
    return _load(sources, problems, stored, environment, tools)


def load_text(
    text: str,
    file: str = "<text>",
    *,
    stored: Iterable[Declaration] = (),
    environment: Mapping[str, str] | None = None,
    tools: Mapping[str, Collection[str]] | None = None,
) -> Declared:
    """`load` for one text; `file` is its name in messages."""
    problems: list[Problem] = []
    if len(text) > MAX_FILE_BYTES:
        problems.append(Problem(Place(file, 1, 1), f"larger than {MAX_FILE_BYTES} bytes"))
        return _load([], problems, (), None, None)
    return _load([(file, text)], problems, stored, environment, tools)


def load_texts(
    texts: Mapping[str, str],
    *,
    stored: Iterable[Declaration] = (),
    environment: Mapping[str, str] | None = None,
    tools: Mapping[str, Collection[str]] | None = None,
) -> Declared:
    """`load` for several texts by the names they have in messages; they may refer to each other."""
    problems = [
        Problem(Place(file, 1, 1), f"larger than {MAX_FILE_BYTES} bytes")
        for file, text in texts.items()
        if len(text) > MAX_FILE_BYTES
    ]
    sources = [(file, text) for file, text in texts.items() if len(text) <= MAX_FILE_BYTES]
    return _load(sources, problems, stored, environment, tools)


def _load(
    sources: Sequence[tuple[str, str]],
    problems: list[Problem],
    stored: Iterable[Declaration],
    environment: Mapping[str, str] | None,
    tools: Mapping[str, Collection[str]] | None,
) -> Declared:
    found: list[Declaration] = []
    for file, text in sources:
        if file.endswith(CEDAR_SUFFIX):
            read = policy_in(file, text, SHAPES["policies"][1].pattern)
            if isinstance(read, Problem):
                problems.append(read)
            else:
                found.append(read)
            continue
        try:
            documents = parse_yaml(text, file)
        except DeclarationError as error:
            problems += error.problems
            continue
        if not documents:
            problems.append(Problem(Place(file, 1, 1), "declares nothing: the file is empty"))
        for document in documents:
            problems += collect(FILE, document)[1]
            found += _declarations(document)
    objects = _by_name(found, problems)
    declared = Declared(objects)
    everything = merged(stored, declared)
    # Objects with a wrong shape are left out here, or one mistake would be reported twice.
    sound = [each for each in objects.values() if _is_sound(each)]
    problems += check_references(sound, everything)
    if environment is not None:
        problems += check_secrets(sound, environment)
    if problems:
        raise DeclarationError(problems)
    return Declared(objects, tuple(sorted(warn(sound, everything, tools or {}))))


def _files(path: Path, problems: list[Problem]) -> list[Path]:
    place = Place(str(path), 1, 1)
    try:
        if not path.is_dir():
            return [path]
        inside = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES)
    except OSError as error:
        problems.append(Problem(place, f"cannot be read: {error.strerror}"))
        return []
    if not inside:
        problems.append(Problem(place, "holds no `.yaml`, `.yml` or `.cedar` file"))
    if len(inside) > MAX_FILES:
        problems.append(Problem(place, f"holds more than {MAX_FILES} files"))
        return []
    return inside


def _read(path: Path, problems: list[Problem]) -> str | None:
    place = Place(str(path), 1, 1)
    try:
        # Asked before opening: opening a pipe would wait for a writer.
        if not stat.S_ISREG(path.stat().st_mode):
            problems.append(Problem(place, "is not a plain file"))
            return None
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a usable path"
        problems.append(Problem(place, f"cannot be read: {why}"))
        return None
    if len(data) > MAX_FILE_BYTES:
        problems.append(Problem(place, f"larger than {MAX_FILE_BYTES} bytes"))
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        problems.append(Problem(Place(str(path), line, column), "is not UTF-8 text"))
        return None


def _declarations(document: Node) -> list[Declaration]:
    """The objects of one document, sound or not."""
    found: list[Declaration] = []
    if not isinstance(document, Table):
        return found
    for section, table in document.entries:
        known = SHAPES.get(str(section.value))
        if known is None or not isinstance(table, Table):
            continue
        for key, node in table.entries:
            if isinstance(node, Table):
                spec = to_json(node)
                assert isinstance(spec, dict)
                found.append(Declaration(known[0], str(key.value), spec, _at(key.place, node)))
    return found


def _at(place: Place, node: Table) -> Table:
    """The object's table, standing where its name stands: that is where people look."""
    return Table(place, node.entries)


def _by_name(
    found: Sequence[Declaration], problems: list[Problem]
) -> dict[tuple[str, str], Declaration]:
    objects: dict[tuple[str, str], Declaration] = {}
    for each in found:
        first = objects.setdefault((each.kind, each.name), each)
        if first is not each and each.place is not None:
            message = f"the {each.kind} {show(each.name)} is declared already, at {first.place}"
            problems.append(Problem(each.place, message))
    return objects


def _is_sound(declaration: Declaration) -> bool:
    shape = next(shape for kind, _, shape in SHAPES.values() if kind == declaration.kind)
    return declaration.node is not None and not collect(shape, declaration.node)[1]
