"""Keep ARCHITECTURE.md and the code the same house.

Fails when a folder of planner/ has no row in the page's table of folders, when a row names a folder that is not there,
when the rows stand in another order than the import contract of pyproject.toml, or when a module is too long to read.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 300


def folders(root: Path) -> list[str]:
    """Return the names of the packages directly below planner/."""
    return sorted(path.parent.name for path in (root / "planner").glob("*/__init__.py"))


def rows(root: Path) -> list[str]:
    """Return the folders that the table of ARCHITECTURE.md names, in its order."""
    return re.findall(r"^\| `(\w+)/` \|", (root / "ARCHITECTURE.md").read_text("utf-8"), re.MULTILINE)


def layers(root: Path) -> list[str]:
    """Return the folders of the import contract, bottom of the house last, without the base modules."""
    contracts = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layered,) = (c for c in contracts if c["type"] == "layers")
    return [layer for layer in layered["layers"] if ":" not in layer]


def faults(root: Path) -> list[str]:
    """Return one sentence for each disagreement."""
    here, told, contract = folders(root), rows(root), layers(root)
    found = [f"planner/{name}/ has no row in ARCHITECTURE.md" for name in here if name not in told]
    found += [f"ARCHITECTURE.md has a row for {name}/, which planner/ does not have" for name in told if name not in here]
    found += [f"planner/{name}/ is not in the import contract of pyproject.toml" for name in here if name not in contract]
    if not found and told != contract[::-1]:
        found.append(f"the rows of ARCHITECTURE.md are {', '.join(told)}; the import contract says {', '.join(contract[::-1])}")
    for path in sorted((root / "planner").rglob("*.py")):
        lines = len(path.read_text("utf-8").splitlines())
        if lines > LONGEST:
            found.append(f"{path.relative_to(root)} has {lines} lines; at most {LONGEST}")
    return found


def main(root: Path) -> int:
    """Print the faults; return the exit status."""
    found = faults(root)
    print("\n".join(found) or "ARCHITECTURE.md and planner/ agree")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(ROOT))
