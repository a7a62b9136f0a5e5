"""Outcomes kept on disk, so that an interrupted run goes on and a changed planner meets the same peers at once.

In: a folder, Data, Setting, a Method. Out: what was found for exactly these rows, folds, replicates and this code of the peers;
nothing otherwise. The planner's own rows are never kept. Knows nothing of metrics.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.routing.data import Data
from benchmarks.routing.ensemble import Kept
from benchmarks.routing.evaluate import Outcome, Setting
from benchmarks.routing.method import Fitted

__all__ = ["fingerprint", "stored"]

#: Files that have no part in what a peer's row says.
_ASIDE = ("ours.py", "report.py", "learning_curve.py", "store.py", "roster.py", "ensemble.py", "__init__.py")


def fingerprint(data: Data, setting: Setting) -> str:
    """Hash the rows, costs, folds, replicates and the code of the peers."""
    total = blake2b(digest_size=12)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.name not in _ASIDE:
            total.update(path.read_bytes())
    total.update("\x1f".join([*data.text, *data.models, str(data.reference)]).encode("utf-8", "replace"))
    for array in (data.quality, data.cost, data.rates, data.weight, data.unit, data.domain):
        total.update(np.ascontiguousarray(array).tobytes())
    total.update(json.dumps([setting.bootstrap, setting.seed, [[t.seed for t in f] for f in setting.folds]]).encode())
    return total.hexdigest()


def stored(folder: Path | None, mark: str, name: str, run: Callable[[], Sequence[Outcome]], kept: Kept) -> list[Outcome]:
    """Return the outcome of ``name`` from ``folder``, else what ``run`` finds, kept for the next time; no folder keeps nothing.

    What ``run`` adds to ``kept``, the parts of an ensemble, is stored with it and added again.
    """
    path = None if folder is None else folder / "outcomes" / mark / f"{name}.npz"
    if path is not None and path.is_file():
        return [_load(path, name, kept)]
    found = list(run())
    if path is not None and len(found) == 1 and found[0].value:
        _save(path, found[0], kept.get(name, {}))
    return found


def _save(path: Path, outcome: Outcome, parts: Mapping[int, Fitted]) -> None:
    arrays: dict[str, Any] = {f"draws_{m}": d for m, d in outcome.draws.items()}
    for seed, fitted in parts.items():
        arrays |= {f"inside_{seed}": fitted.inside.astype(np.float32), f"outside_{seed}": fitted.outside.astype(np.float32)}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, line=json.dumps(vars(replace(outcome, draws={})), default=list), **arrays)
    part.replace(path)


def _load(path: Path, name: str, kept: Kept) -> Outcome:
    with np.load(path) as found:
        line = json.loads(str(found["line"]))
        draws = {n.removeprefix("draws_"): found[n] for n in found.files if n.startswith("draws_")}
        seeds = [n.removeprefix("inside_") for n in found.files if n.startswith("inside_")]
        if seeds:
            kept[name] = {int(s): Fitted(found[f"inside_{s}"].astype(float), found[f"outside_{s}"].astype(float)) for s in seeds}
    return Outcome(**{**line, "draws": draws})
