"""The six packages are ours, build on each other in one direction, and shadow nothing."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fieldguide.cli.checks import PACKAGES

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SOURCES = sorted(file for name in (*PACKAGES, "bench", "tests") for file in (ROOT / name).rglob("*.py"))
LINT = Path(sys.executable).with_name("lint-imports")


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_comes_from_this_tree(name):
    spec = importlib.util.find_spec(name)
    assert Path(spec.origin) == ROOT / name / "__init__.py"
    assert (ROOT / name / "py.typed").exists()


def test_doctor_checks_exactly_the_packages_that_are_built():
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == list(PACKAGES)


def test_nothing_imports_the_builtin_named_package_bare():
    """`import eval` would hide the builtin of that name; `from eval.x import y` does not."""
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name.split(".")[0] == "eval"
    ]
    assert found == []


def test_every_module_of_the_spine_is_in_the_import_contract():
    (contract,) = [c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "forbidden"]
    modules = {
        f"fieldguide.{path.stem}"
        for path in (ROOT / "fieldguide").iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem not in ("__init__", "cli")
    }
    assert set(contract["source_modules"]) == modules
    assert set(contract["forbidden_modules"]) == {"fieldguide.cli", *PACKAGES} - {"fieldguide"}


def test_the_layers_name_every_stage():
    (contract,) = [c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    assert contract["layers"] == ["fieldguide.cli", "eval", "assistant", "tuning", "retrieval", "ingest"]
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == set(PACKAGES)


def test_the_import_rules_hold():
    command = str(LINT) if LINT.exists() else shutil.which("lint-imports")
    assert command, "import-linter is missing: run `make setup`"
    done = subprocess.run([command, "--no-cache"], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout
