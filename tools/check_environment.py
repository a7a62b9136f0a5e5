"""Keep environment.yml in step with pyproject.toml.

``python tools/check_environment.py`` prints the difference and fails when the two disagree; ``--write`` makes it again.
"""

from __future__ import annotations

import difflib
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXTRA = "lab"
#: Not on conda-forge under these names; ``-e .[lab]`` brings them.
PIP_ONLY = frozenset({"genai-prices", "quicktok-v1"})
HEAD = "# Made from pyproject.toml by: python tools/check_environment.py --write\nname: planner\nchannels: [conda-forge]\ndependencies:\n"


def requirements(project: dict[str, Any], extra: str) -> list[str]:
    """Return what the bare installation and ``extra`` need, with the extras it names resolved."""
    found = list(project["dependencies"])
    waiting = list(project["optional-dependencies"][extra])
    while waiting:
        item = waiting.pop(0)
        inner = re.fullmatch(rf"{re.escape(project['name'])}\[(\w+)\]", item)
        if inner:
            waiting += project["optional-dependencies"][inner[1]]
        else:
            found.append(item)
    return found


def environment(project: dict[str, Any]) -> str:
    """Return the text of environment.yml."""
    conda = sorted(r for r in requirements(project, EXTRA) if re.split(r"[\[<>=!~ ]", r)[0] not in PIP_ONLY)
    lines = [f"python{project['requires-python']}", "pip", *conda, f'pip:\n      - "-e .[{EXTRA}]"']
    return HEAD + "".join(f"  - {line}\n" for line in lines)


def main(root: Path, arguments: list[str]) -> int:
    """Compare, or write when asked to; return the exit status."""
    wanted = environment(tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"])
    path = root / "environment.yml"
    if arguments == ["--write"]:
        path.write_text(wanted, "utf-8")
        return 0
    found = path.read_text("utf-8") if path.exists() else ""
    if found == wanted:
        return 0
    lines = (found.splitlines(keepends=True), wanted.splitlines(keepends=True))
    print("".join(difflib.unified_diff(*lines, "environment.yml", "pyproject.toml")))
    print("environment.yml and pyproject.toml disagree: python tools/check_environment.py --write")
    return 1


if __name__ == "__main__":
    sys.exit(main(ROOT, sys.argv[1:]))
