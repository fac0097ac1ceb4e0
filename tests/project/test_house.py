"""The budgets of the code base: floors, cycles, lengths, types, documentation, cost of the front door."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "workbench"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

FLOORS = [
    {"errors", "registry", "settings", "resources"},
    {"signals", "codecs"},
    {"sources", "discovery", "logs", "traces", "profiles", "detect"},
    {"store", "query"},
    {"intake", "diagnose"},
    {"incidents"},
    {"session", "evaluate", "testing"},
    {"panels"},
    {"agent", "api", "runbooks"},
    {"__init__", "__main__", "cli", "magics"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def type_only(tree: ast.Module) -> set[int]:
    """Return the ids of import nodes that stand under TYPE_CHECKING."""
    guarded = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)]
    return {id(child) for node in guarded for child in ast.walk(node)}


def imported(path: Path, eager_only: bool = False) -> Iterator[tuple[str, int]]:
    tree = TREES[path]
    skip = type_only(tree)
    if eager_only:
        inside = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        skip |= {id(child) for node in inside for child in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skip:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} relative import"
            base = node.module or ""
            for alias in node.names:
                yield (f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base), node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno


def test_every_room_stands_on_a_floor() -> None:
    assert {room_of(path) for path in FILES} <= set(FLOOR)


def test_imports_go_only_downward() -> None:
    """Errors are the ground under every floor, the lowest included; nothing else is shared on one floor."""
    offences = []
    for path in FILES:
        room = room_of(path)
        for target, line in imported(path):
            if not target.startswith("workbench.") or target == "workbench.errors":
                continue
            there = target.split(".")[1]
            if there != room and FLOOR[there] >= FLOOR[room] and room not in FLOORS[-1]:
                offences.append(f"{path.relative_to(ROOT)}:{line} {room} imports {there}")
    assert offences == []


def test_only_show_reaches_upward_and_only_through_the_registry() -> None:
    """A registry string is an edge too; upward ones may stand only in a method called `show`."""
    upward = []
    for path, node in functions():
        for call in ast.walk(node):
            if not (isinstance(call, ast.Call) and ast.unparse(call.func).endswith("registry.load") and call.args):
                continue
            group = str(getattr(call.args[0], "value", ""))
            if FLOOR[room_of(path)] < FLOOR.get(group.rpartition(".")[2], -1) and node.name != "show":
                upward.append(f"{path.relative_to(ROOT)}:{call.lineno} {node.name} loads {group}")
    assert upward == []


def test_there_is_no_import_cycle() -> None:
    graph = {
        name: {t for t, _ in imported(path, eager_only=True) if t in MODULES and t != name}
        for name, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"import cycle: {' -> '.join((*trail[trail.index(name) :], name))}"
        if name not in done:
            for target in sorted(graph[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def test_functions_are_at_most_60_lines() -> None:
    long = []
    for path, node in functions():
        doc = ast.get_docstring(node, clean=False)
        lines = (node.end_lineno or 0) - node.lineno + 1 - (doc.count("\n") + 1 if doc else 0)
        if lines > 60:
            long.append(f"{path.relative_to(ROOT)}:{node.name} {lines}")
    assert long == []


def test_files_are_at_most_600_lines() -> None:
    long = {str(p.relative_to(ROOT)): n for p in FILES if (n := p.read_text(encoding="utf-8").count("\n")) > 600}
    assert long == {}


def public_nodes(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_nodes(node)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_public_names_are_documented(path: Path) -> None:
    assert ast.get_docstring(TREES[path]), f"{path} has no module docstring"
    bare = [node.name for node in public_nodes(TREES[path]) if ast.get_docstring(node) is None]
    assert bare == []


def test_no_vague_rooms_or_files() -> None:
    vague = {"utils", "util", "common", "helpers", "helper", "core", "misc"}
    assert [str(p) for p in FILES if vague & {part.removesuffix(".py") for part in p.relative_to(PACKAGE).parts}] == []


def test_no_code_from_data() -> None:
    """Stored or received bytes never become code: no pickle, eval, exec, unsafe yaml, allow_pickle."""
    offences = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] + [getattr(node, "module", "") or ""]
                offences += [
                    f"{path}:{node.lineno}" for n in names if n.split(".")[0] in {"pickle", "dill", "marshal", "shelve"}
                ]
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                unsafe = name in {"eval", "exec", "yaml.load"} or any(k.arg == "allow_pickle" for k in node.keywords)
                offences += [f"{path}:{node.lineno} {name}"] * unsafe
    assert offences == []


def test_exported_names_exist() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {sorted(MODULES)!r}:\n"
        "    module = importlib.import_module(name)\n"
        "    missing = [n for n in getattr(module, '__all__', []) if not hasattr(module, n)]\n"
        "    assert not missing, (name, missing)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_front_door_loads_only_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import workbench;"
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ast.literal_eval(done.stdout)
    assert loaded == ["workbench"]


def test_front_door_costs_at_most_a_twentieth_of_pandas() -> None:
    def cost(module: str) -> float:
        code = f"import time; t = time.process_time(); import {module}; print(time.process_time() - t)"
        runs = [
            float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
            for _ in range(3)
        ]
        return min(runs)

    assert cost("workbench") <= 0.05 * cost("pandas")


def test_types_are_strict() -> None:
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]


def test_lint_is_clean() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_code_is_formatted() -> None:
    command = [sys.executable, "-m", "ruff", "format", "--check", "workbench", "tests", "datasets"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_project_speaks_only_of_itself() -> None:
    """No machine path and no package index host is in a file that git tracks."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("this is not a git checkout")
    machine = re.compile(r"/(?:work|root|home)/[a-z]|(?:pypi|npmjs|debian)\.(?:org|com|net)|files\.pythonhosted")
    offences = []
    for name in done.stdout.splitlines():
        path = ROOT / name
        if (
            path.suffix in {".zst", ".png", ".parquet", ".gz", ".bin", ".pb"}
            or path == Path(__file__)
            or not path.is_file()
        ):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if machine.search(line):
                offences.append(f"{name}:{number} {line.strip()[:100]}")
    assert offences == []
