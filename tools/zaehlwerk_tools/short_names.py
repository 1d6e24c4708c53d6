"""Gives the node's own names short ones before its code is compiled.

MicroPython keeps every name that it has seen in the heap, for ever: its characters and seven bytes of table (py/qstr.c).
With the names as people need them that is a quarter of a node's heap. So the build replaces each name that only our
own code uses by one of one to three characters, the same one everywhere: whatever the code does with names it does as
before. A name that only one file uses gets one that such names of other files have too: for the table doubles when it is
full, which takes 12 kB. Files whose classes inherit from each other share none, for their objects are the same. Lines
stay where they are, so that the file and line of a crash are those of the source.

What keeps its name: whatever MicroPython or Python call so too, words of string constants (`getattr`, keys of
settings, fields of frames), modules, classes (errors are told by name), what an f-string uses, all of `main.py` and of
the boards' files, and what a module lists in `__all__`, for these are spoken to from outside.
"""

from __future__ import annotations

import ast
import io
import itertools
import keyword
import re
import string
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

FOREIGN = Path(__file__).parent / "data" / "micropython_names.txt"
"""Names that are not ours to change: what `dir` shows of Python's built-ins, of those modules that MicroPython has too and
of their classes, and what MicroPython has besides. A list, and not the running Python's, so that the same sources give
the same firmware everywhere. What the stand-ins of the ESP32's modules are asked for comes on top."""

_IDENTIFIER = re.compile(r"[^\W\d]\w*\Z")


Names = Mapping[str, Mapping[str, str]]
"""Short name by name, by the path of the file that uses it; under EVERYWHERE those of all files."""
EVERYWHERE = ""


def short_names(sources: Mapping[str, str], spoken_to: Iterable[str], foreign: Iterable[str]) -> Names:
    """The new name of each that gets one.

    sources: text by path below the tree; spoken_to: paths of those whose names others use; foreign: texts of sources
    that are no part of the node, whose names stay. The same sources give the same names.
    """
    kept = {*keyword.kwlist, *keyword.softkwlist, *FOREIGN.read_text().split()}
    for text in foreign:
        kept.update(_tokens(text))
    for path in spoken_to:
        kept.update(_tokens(sources[path]))
    found: set[str] = set()
    trees = {path: ast.parse(text, path) for path, text in sources.items()}
    for path, tree in trees.items():
        kept.update(part.removesuffix(".py") for part in path.split("/"))
        found.update(_own(tree))
        kept.update(_said(tree))
    words = {path: _tokens(text) for path, text in sources.items()}
    users = Counter(word for file in words.values() for word in file)
    old = sorted(name for name in found - kept if not name.startswith("__"))
    taken = kept | set(users)
    # Of one file alone, and of no object but its own: two files may give the same object attributes.
    reached = {name for tree in trees.values() for name in _reached(tree)}
    alone = {name for name in old if users[name] == 1} - reached
    # Of a name with an underscore in front a module's constant leaves nothing behind (docs.micropython.org, const).
    unused = {True: _candidates("_", taken), False: _candidates("", taken)}
    pools: dict[bool, list[str]] = {True: [], False: []}
    names: dict[str, dict[str, str]] = {EVERYWHERE: {}}
    for family in _families(trees):
        number = {True: 0, False: 0}
        for path in family:
            names[path] = {}
            for name in old:
                if name in words[path] and name in alone:
                    private = name.startswith("_")
                    if number[private] == len(pools[private]):
                        pools[private].append(next(unused[private]))
                    names[path][name] = pools[private][number[private]]
                    number[private] += 1
    for name in old:
        if name not in alone:
            names[EVERYWHERE][name] = next(unused[name.startswith("_")])
    return {
        path: {name: new for name, new in those.items() if len(new) < len(name)}
        for path, those in names.items()
    }


def _reached(tree: ast.Module) -> Iterator[str]:
    """Attributes of something else than `self` and `cls`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not (
            isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        ):
            yield node.attr


def _families(trees: Mapping[str, ast.Module]) -> list[list[str]]:
    """The paths, those together whose classes inherit from each other."""
    homes: dict[str, set[str]] = defaultdict(set)
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].add(path)
    family = {path: {path} for path in trees}
    for path, tree in trees.items():
        for node in ast.walk(tree):
            for base in node.bases if isinstance(node, ast.ClassDef) else ():
                name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
                together = family[path].union(*(family[home] for home in homes.get(name, ())))
                for member in together:
                    family[member] = together
    return [sorted(members) for members in {id(members): members for members in family.values()}.values()]


def shortened(text: str, path: str, names: Names) -> str:
    """`text`, which is the file `path`, with the new names, line for line."""
    short = {**names[EVERYWHERE], **names.get(path, {})}
    lines = text.splitlines(keepends=True)
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(text).readline))):
        if token.type == tokenize.NAME and token.string in short:
            row, column = token.start
            line = lines[row - 1]
            lines[row - 1] = line[:column] + short[token.string] + line[column + len(token.string) :]
    return "".join(lines)


def _tokens(text: str) -> set[str]:
    """All words of a source that are no comment, those of its strings too."""
    words: set[str] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            words.add(token.string)
        elif token.type != tokenize.COMMENT:
            words.update(re.findall(r"[^\W\d]\w*", token.string))
    return words


def _own(tree: ast.Module) -> Iterator[str]:
    """Names that a source defines: functions, arguments, attributes, globals and locals."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _said(tree: ast.Module) -> Iterator[str]:
    """Names that somebody may ask for by another way than writing them: in strings and f-strings, and classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (word for word in node.value.split(".") if _IDENTIFIER.match(word))
        elif isinstance(node, ast.JoinedStr):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name):
                    yield inner.id
                elif isinstance(inner, ast.Attribute):
                    yield inner.attr
                elif isinstance(inner, ast.keyword) and inner.arg:
                    yield inner.arg
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield from alias.name.split(".")
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from node.module.split(".")


def _candidates(prefix: str, taken: set[str]) -> Iterator[str]:
    first, more = string.ascii_letters, string.ascii_letters + string.digits
    for length in itertools.count(0):
        for head in first:
            for tail in itertools.product(more, repeat=length):
                name = prefix + head + "".join(tail)
                if name not in taken:
                    yield name
