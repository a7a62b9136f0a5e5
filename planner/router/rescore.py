"""Scores requests with the files of a bundle alone, in a process that knows nothing else: ``python -m planner.router.rescore BUNDLE``.

In: the bundle's path; on stdin a day, single requests and columns of requests. Out: on stdout the model of each single one, and models
and gains of the columns. An export compares them with those of the router it wrote. Knows nothing of that router.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.errors import BundleError
from planner.router.requests import Requests
from planner.router.router import Router

__all__ = ["Scored", "rescore", "score"]

#: Messages and metadata of a single request.
Single = tuple[Any, dict[str, Any]]


class Scored(NamedTuple):
    """The model chosen for each of n requests, and the gains (n, K) of the candidates."""

    models: list[str]
    gains: NDArray[np.float64]


def score(router: Router, requests: Requests, day: str) -> Scored:
    """Decide columns of requests, as training and simulation do."""
    scores = router.scores(requests, day)
    return Scored([router.candidates[c] for c in router.choose(scores)[0].tolist()], scores.gains.astype(np.float64))


def rescore(bundle: Path, singles: Sequence[Single], columns: Sequence[Requests], day: str) -> tuple[list[str], list[Scored]]:
    """Return the models to which a new process sends single requests, as production does, and what it makes of each of ``columns``.

    BundleError where it cannot.
    """
    asked = json.dumps({"day": day, "singles": singles, "columns": [_plain(c) for c in columns]})
    paths = os.pathsep.join(str(Path(p).resolve()) for p in sys.path)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "planner.router.rescore", str(bundle)],
        input=asked.encode("ascii"),
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:300]
        raise BundleError(f"written files that a new process cannot score with: {last}", fix="nothing was written: report it")
    alone, scored = json.loads(done.stdout)
    return alone, [Scored(models, np.array(gains)) for models, gains in scored]


def _plain(requests: Requests) -> dict[str, Any]:
    columns = {f.name: getattr(requests, f.name) for f in fields(requests)}
    return {name: column.tolist() if isinstance(column, np.ndarray) else column for name, column in columns.items()}


def _requests(columns: dict[str, Any]) -> Requests:
    """Return the Requests of ``_plain``."""
    like = _plain_types()
    read: dict[str, Any] = {name: np.array(values, like[name]) if name in like else tuple(values) for name, values in columns.items()}
    return Requests(**{**read, "unit": columns["unit"]})


def _plain_types() -> dict[str, Any]:
    """Return the type of each column that is an array."""
    empty = Requests.of([])
    return {f.name: column.dtype for f in fields(empty) if isinstance(column := getattr(empty, f.name), np.ndarray)}


if __name__ == "__main__":
    wanted = json.load(sys.stdin)
    loaded = Router.load(sys.argv[1])
    decided = [loaded.decide(messages, metadata, at=wanted["day"]).model for messages, metadata in wanted["singles"]]
    read = [score(loaded, _requests(c), wanted["day"]) for c in wanted["columns"]]
    json.dump((decided, [(s.models, s.gains.tolist()) for s in read]), sys.stdout)
