"""Analysis stays pure, and time is read in one place: checked on the source of every module."""

from __future__ import annotations

import ast
import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = sorted((ROOT / "detectors").rglob("*.py"))
EDGE = sorted((ROOT / "streams").rglob("*.py"))
CLOCK = ROOT / "streams" / "clock.py"
PURE = {
    "__future__", "collections", "dataclasses", "datetime", "enum", "functools",
    "itertools", "math", "re", "struct", "typing",
    "unicodedata", "confusable_homoglyphs", "msgspec", "numpy", "scipy", "xxhash", "detectors",
}  # fmt: skip
"""All that analysis may import; so no clock, no files, no network, no settings, no logging. Of msgspec only
its structs: frozen values, made in a fraction of a dataclass's time, and an alert holds a thousand."""

WALL_CLOCK = {
    "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.localtime",
    "time.gmtime", "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today",
    "datetime.date.today",
}  # fmt: skip
"""Calls that a replay would answer differently."""


def place(path: Path) -> str:
    """Name of a module in a test's id."""
    return str(path.relative_to(ROOT))


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Local name and full name of everything imported, wherever in the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (
                    alias.asname or alias.name.partition(".")[0],
                    alias.name if alias.asname else alias.name.partition(".")[0],
                )
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute here"
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def dotted(node: ast.AST) -> str | None:
    """``a.b.c`` of an attribute chain."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        left = dotted(node.value)
        return left and f"{left}.{node.attr}"
    return None


def wall_clock(source: str) -> set[str]:
    """Which readings of the wall clock a module mentions, under whatever name it imported them."""
    tree = ast.parse(source)
    full = dict(imports(tree))
    found = set()
    for node in ast.walk(tree):
        name = dotted(node)
        if name is not None:
            head, _, rest = name.partition(".")
            resolved = full.get(head, head) + (f".{rest}" if rest else "")
            found |= {resolved} & WALL_CLOCK
    return found


def test_there_are_modules_to_check() -> None:
    assert len(CORE) > 10
    assert len(EDGE) > 10
    assert CLOCK in EDGE


@pytest.mark.parametrize("path", CORE, ids=place)
def test_analysis_imports_nothing_that_reads_or_writes(path: Path) -> None:
    tops = {full.partition(".")[0] for _, full in imports(ast.parse(path.read_text("utf-8")))}
    assert tops <= PURE, f"{path.name} imports {sorted(tops - PURE)}"


@pytest.mark.parametrize("path", CORE, ids=place)
def test_analysis_opens_prints_and_hashes_nothing_by_the_builtins(path: Path) -> None:
    called = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"open", "print", "input", "eval", "exec", "hash", "id", "__import__"}


@pytest.mark.parametrize("path", [p for p in CORE + EDGE if p != CLOCK], ids=place)
def test_nothing_but_the_clock_module_reads_the_wall_clock(path: Path) -> None:
    assert not wall_clock(path.read_text("utf-8"))


def test_the_check_sees_the_clock_module_and_disguises() -> None:
    assert wall_clock(CLOCK.read_text("utf-8")) == {"time.time_ns", "time.monotonic"}
    assert wall_clock("from time import time as t\nt()") == {"time.time"}
    assert wall_clock("import time as x\nx.time()") == {"time.time"}
    assert wall_clock("from datetime import datetime as d\nd.now(None)") == {"datetime.datetime.now"}
    assert wall_clock("import datetime\nf = datetime.datetime.utcnow") == {"datetime.datetime.utcnow"}
    assert not wall_clock("now.time()\nself.datetime.now()")


@pytest.mark.parametrize("path", CORE, ids=place)
def test_every_generator_is_seeded(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and "random" in (dotted(node.func) or ""):
            assert dotted(node.func) == "np.random.default_rng"
            assert node.args


@pytest.mark.parametrize("path", CORE, ids=place)
def test_examples_in_docstrings_are_true(path: Path) -> None:
    module = importlib.import_module(f"detectors.{path.stem}" if path.stem != "__init__" else "detectors")
    assert doctest.testmod(module).failed == 0
