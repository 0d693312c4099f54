"""The rules of the house that no linter knows (docs/architecture.md); floors are in `make lint`."""

import ast
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path

from tests.support.root import ROOT

FLOORS = ("workflows", "model", "datasets", "infra")
MOST_FILES, MOST_LINES, LONGEST_CHAIN, EQUAL = 14, 30, 8, 6


def files(*tops: str) -> list[Path]:
    return sorted(path for top in tops for path in (ROOT / top).rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported_by(path: Path) -> set[str]:
    """All modules that a file may load, within functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


def test_no_folder_is_a_hall() -> None:
    folders = {path.parent for path in files(*FLOORS, "tests")}
    counts = {
        str(f.relative_to(ROOT)): len(set(f.glob("*.py")) - {f / "__init__.py"}) for f in folders
    }
    assert {name: count for name, count in counts.items() if count > MOST_FILES} == {}


def test_entry_scripts_only_call() -> None:
    scripts = set((ROOT / "workflows").glob("*.py")) - {ROOT / "workflows/stages.py"}
    lengths = {path.name: len(path.read_text().splitlines()) for path in scripts}
    assert len(lengths) > 10
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_chains_of_imports_are_short() -> None:
    modules = {module_of(path): path for path in files("workflows")}
    graph = {name: imported_by(path) & modules.keys() - {name} for name, path in modules.items()}

    @cache
    def chain(name: str) -> tuple[str, ...]:
        return (name, *max((chain(other) for other in graph[name]), key=len, default=()))

    assert len(longest := max(map(chain, graph), key=len)) <= LONGEST_CHAIN, longest


def blocks(path: Path) -> Iterator[tuple[str, ...]]:
    """Every run of EQUAL lines of code; imports, which must be alike, left out."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    code = [
        line for line in lines if len(line) > 3 and not line.startswith(("from ", "import ", "#"))
    ]
    yield from (tuple(code[i : i + EQUAL]) for i in range(len(code) - EQUAL + 1))


def test_nothing_is_written_twice() -> None:
    found = {
        path: set(blocks(path)) for path in files(*FLOORS) if path.parent != ROOT / "workflows"
    }
    twice = {
        (module_of(one), module_of(other)): found[one] & found[other]
        for one, other in combinations(found, 2)
        if found[one] & found[other]
    }
    assert twice == {}
