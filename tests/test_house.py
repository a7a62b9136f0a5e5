"""The house itself: its public face, its import rules, and the pages and files that must agree with the code."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import planner

PUBLIC = sorted(planner.__all__)
# Allowed to the router, which is the bare production runtime.
_BARE = {"planner.errors", "planner.units", "planner.formats", "planner.text.messages", "planner.text.tokens", "planner.text.checks"}


def _python(code: str, cwd: Path, *options: str) -> Any:
    """Run ``code`` in a fresh interpreter and return the JSON it prints last."""
    done = subprocess.run([sys.executable, *options, "-c", code], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _tool(repository: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, repository / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _contracts(repository: Path) -> dict[str, Any]:
    found = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    return {contract["type"]: contract for contract in found}


def test_three_lists_of_public_names_agree(repository: Path) -> None:
    """__all__, the table of homes and the typing imports name the same things, thirty-six at most, and the docstring tells most."""
    tree = ast.parse((repository / "planner" / "__init__.py").read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = [alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(typed) == PUBLIC == sorted(planner._HOMES) == dir(planner)
    assert len(PUBLIC) <= 36


def test_public_names_survive_every_import(tmp_path: Path) -> None:
    """Whichever submodules are imported first, each public name is still what the table of homes says."""
    wrong = _python(
        """
import importlib, json, pkgutil, planner
for module in pkgutil.walk_packages(planner.__path__, "planner."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
wrong = []
for name, home in planner._HOMES.items():
    module, colon, _ = home.partition(":")
    module = importlib.import_module(f"planner.{module}")
    value = getattr(module, name) if colon else module
    is_module = type(getattr(planner, name)).__name__ == "module"
    if getattr(planner, name) is not value or is_module == bool(colon):
        wrong.append(name)
print(json.dumps(wrong))
""",
        tmp_path,
    )
    assert wrong == []


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented(name: str) -> None:
    """Each public name exists and opens its docstring with a sentence."""
    text = getattr(planner, name).__doc__ or ""
    assert re.match(r"\S[^\n]{9,}", text), f"planner.{name} has no docstring"


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as Python's own modules do."""
    with pytest.raises(AttributeError, match="module 'planner' has no attribute 'raed'"):
        planner.raed  # noqa: B018


def test_import_planner_is_fast(tmp_path: Path) -> None:
    """``import planner`` takes less than 0.2 s and loads no third party."""
    code = (
        "import json, sys, time; t = time.perf_counter(); import planner; print(json.dumps([time.perf_counter() - t, list(sys.modules)]))"
    )
    runs = [_python(code, tmp_path) for _ in range(3)]
    assert min(seconds for seconds, _ in runs) < 0.2
    assert {"numpy", "pandas", "pyarrow"}.isdisjoint(runs[0][1])


def test_the_router_loads_no_library_of_the_extras(tmp_path: Path) -> None:
    """``import planner.router`` loads nothing that a bare installation lacks."""
    loaded = _python("import json, sys, planner.router; print(json.dumps(list(sys.modules)))", tmp_path)
    assert set(_third_parties()).isdisjoint(loaded)
    ours = {name for name in loaded if name.count(".") and name.startswith("planner.") and not name.startswith("planner.router")}
    assert ours - {"planner.text"} <= _BARE


def _third_parties() -> list[str]:
    return [name for name in _contracts(planner_root())["forbidden"]["forbidden_modules"] if not name.startswith("planner")]


def planner_root() -> Path:
    """Return the checkout that the running planner comes from."""
    return Path(planner.__file__).parent.parent


@pytest.mark.parametrize(
    ("name", "lacks", "extra"), [("read", "pyarrow", "plan"), ("policies", "pandas", "plan"), ("figures", "matplotlib", "lab")]
)
def test_a_missing_extra_says_what_to_install(tmp_path: Path, name: str, lacks: str, extra: str) -> None:
    """A public name whose libraries are not installed raises one error with the command that installs them."""
    code = f"""
import json, sys
sys.modules[{lacks!r}] = None
import planner
try:
    planner.{name}
except ImportError as error:
    print(json.dumps([type(error).__name__, str(error)]))
else:
    print(json.dumps(["nothing was raised", ""]))
"""
    kind, text = _python(code, tmp_path)
    assert kind == "MissingExtraError"
    assert text == f"planner.{name} needs {lacks}, which is not installed. Run: pip install 'llm-traffic-planner[{extra}]'."


def test_every_folder_is_in_the_import_contract(repository: Path) -> None:
    """No folder of planner/ escapes the order of the rows, and the base is its lowest row."""
    layers = _contracts(repository)["layers"]["layers"]
    folders = {path.parent.name for path in (repository / "planner").glob("*/__init__.py")}
    assert folders == set(layers[:-1])
    assert set(layers[-1].split(" : ")) == {path.stem for path in (repository / "planner").glob("*.py")} - {"__init__"}


def test_the_router_may_use_three_modules_of_text(repository: Path) -> None:
    """Whatever else text/ holds is forbidden to the router by name."""
    forbidden = set(_contracts(repository)["forbidden"]["forbidden_modules"])
    text = {f"planner.text.{path.stem}" for path in (repository / "planner" / "text").glob("*.py") if path.stem != "__init__"}
    assert text - _BARE <= forbidden
    assert forbidden.isdisjoint(_BARE)


@pytest.mark.parametrize(
    ("module", "line", "shown"),
    [
        ("router/rules.py", "import pandas", "planner.router.rules -> pandas"),
        ("text/tokens.py", "import scipy.stats", "planner.text.tokens -> scipy"),
        ("traffic/handle.py", "from planner.labels import Labels", "planner.traffic.handle -> planner.labels"),
    ],
)
def test_the_import_contract_bites(repository: Path, tmp_path: Path, module: str, line: str, shown: str) -> None:
    """An import against the direction, or a heavy library under the router, fails lint-imports."""
    shutil.copytree(repository / "planner", tmp_path / "planner", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repository / "pyproject.toml", tmp_path)
    assert _lint(tmp_path).returncode == 0
    with (tmp_path / "planner" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    done = _lint(tmp_path)
    assert done.returncode == 1
    assert f"{shown} (l." in re.sub(r"\x1b\[\d+m", "", done.stdout)


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_levers_know_no_sibling(repository: Path) -> None:
    """A lever's file imports nothing of its folder but base and windows; those of whole plans know them all."""
    for path in (repository / "planner" / "policies").glob("*.py"):
        imports = re.findall(r"from planner\.policies(?:\.(\w+))? import", path.read_text("utf-8"))
        assert path.stem in ("__init__", "plan", "plan_file", "differences") or set(imports) <= {"base", "windows"}, path.name


def test_architecture_and_code_agree(repository: Path) -> None:
    """The page's rows are the folders, in the order of the contract, and every module is short enough to read."""
    assert _tool(repository, "check_architecture").faults(repository) == []


def test_architecture_check_finds_faults(repository: Path, tmp_path: Path) -> None:
    """A folder without a row, a row without a folder and a long module are each named."""
    (tmp_path / "planner" / "attic").mkdir(parents=True)
    (tmp_path / "planner" / "attic" / "__init__.py").write_text("\n" * 301)
    (tmp_path / "ARCHITECTURE.md").write_text("| `cellar/` | wine |\n")
    shutil.copy(repository / "pyproject.toml", tmp_path)
    found = "\n".join(_tool(repository, "check_architecture").faults(tmp_path))
    assert "planner/attic/ has no row" in found
    assert "a row for cellar/, which planner/ does not have" in found
    assert "planner/attic/ is not in the import contract" in found
    assert "planner/attic/__init__.py has 301 lines; at most 300" in found


def test_environment_check_shows_the_difference(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A requirement that environment.yml lacks is printed as a diff, and --write adds it."""
    tool = _tool(repository, "check_environment")
    assert tool.main(repository, []) == 0
    shutil.copy(repository / "environment.yml", tmp_path)
    project = (repository / "pyproject.toml").read_text("utf-8").replace('  "ipywidgets', '  "zarr>=3",\n  "ipywidgets')
    (tmp_path / "pyproject.toml").write_text(project, "utf-8")
    assert tool.main(tmp_path, []) == 1
    assert "+  - zarr>=3\n" in capsys.readouterr().out
    assert tool.main(tmp_path, ["--write"]) == 0
    assert tool.main(tmp_path, []) == 0


def test_pins_name_no_host(repository: Path) -> None:
    """constraints.txt holds versions and markers only, and pins every direct requirement."""
    lines = (repository / "constraints.txt").read_text("utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; [^:]+)?", line)] == []
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    names = {re.split(r"[\[<>=!~ ]", r)[0] for r in wanted} - {project["name"]}
    assert names <= {line.partition("==")[0] for line in lines}


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "tests/README.md"])
def test_pages_name_what_exists(repository: Path, page: str) -> None:
    """What a page calls ``planner.x`` is public, ``make x`` a target, and a path a file."""
    text = (repository / page).read_text("utf-8")
    targets = re.findall(r"^(\w+):", (repository / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"\bplanner\.([a-z]\w+)\(", text)) <= set(PUBLIC)
    assert set(re.findall(r"^make (\w+)|`make (\w+)", text, re.MULTILINE)) <= {(t, "") for t in targets} | {("", t) for t in targets}
    assert [p for p in re.findall(r"`(planner/[\w/.]+|tools/[\w.]+)`", text) if not (repository / p).exists()] == []


def test_no_skip_turns_skips_red(repository: Path, tmp_path: Path) -> None:
    """Under PLANNER_NO_SKIP a skip fails the run, but for missing real data where none was promised."""
    (tmp_path / "test_x.py").write_text("import pytest\n\ndef test_a():\n    pytest.skip('no real data: none')\n")
    environment = {**os.environ, "PYTHONPATH": str(repository / "tests"), "PLANNER_NO_SKIP": "1"}
    environment.pop("PLANNER_REAL_DATA", None)
    command = [sys.executable, "-m", "pytest", "-p", "support.skips", "-p", "no:cacheprovider", "-q", str(tmp_path)]
    assert subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True).returncode == 0
    promised = subprocess.run(command, env={**environment, "PLANNER_REAL_DATA": "x"}, cwd=tmp_path, capture_output=True, text=True)
    assert promised.returncode == 1
    assert "1 skipped, so this run fails: Skipped: no real data: none" in promised.stdout
