"""Writing a bundle: the router as files that production loads with numpy and a tokenizer alone.

In: a router, and what is known about how it was made. Out: a directory with a manifest over every byte; the same inputs write
the same bytes. It is only left behind after a new process, with its files alone, has decided a thousand requests as the router does.
Knows nothing of gateways.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from planner import formats
from planner.bundle.card import card
from planner.bundle.vectors import made_up
from planner.errors import BundleError, InputError
from planner.policies import Plan
from planner.router import Requests, Router
from planner.router.load import MANIFEST, TOLERANCE, VECTORS, WEIGHTS, read_manifest, same
from planner.router.rescore import Scored, rescore, score
from planner.router.settings import canonical, router_settings
from planner.router.state import pack
from planner.router.weights import packed
from planner.training import Training

__all__ = ["export"]

#: Made-up requests stored in the bundle, and re-scored before it is left behind; most labelled ones that are re-scored beside them.
_STORED, _RESCORED, _MOST_LABELLED = 48, 1_000, 2_000
#: The date of the stored and the re-scored decisions: before any model retires.
_AT = "2000-01-01"


def export(
    router: Router,
    folder: str | Path,
    *,
    training: Training | None = None,
    plan: Plan | None = None,
    evaluation: Mapping[str, Any] | None = None,
    requests: Requests | None = None,
) -> Path:
    """Write ``router`` into ``folder`` and return it.

    Parameters
    ----------
    folder: absent, empty, or an earlier bundle, which is replaced.
    training: the Training it comes from: its data hash goes into the manifest, and what its table says of exactly this router.
    plan: the plan it was simulated in, which must route by this router.
    evaluation: further results, as JSON values.
    requests: real requests on which the files must score as the router does, by default the labelled ones of ``training``; nothing
        of them is stored.

    Raises BundleError, and leaves the folder as it was, when the written files score one of a thousand made-up or of these requests
    differently by more than 1e-6, or decide one otherwise. InputError when the folder holds something else or the plan routes by
    another router.
    """
    path = Path(folder)
    _check_free(path)
    _check_plan(plan, router)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        made = Path(scratch) / "bundle"
        _write(made, router, training, plan, evaluation)
        _prove(made, router, _labelled(training) if requests is None else requests)
        if path.exists():
            path.rename(Path(scratch) / "before")
        made.rename(path)
    return path


def _check_free(path: Path) -> None:
    """Refuse a folder whose content somebody may still want."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    try:
        if not path.is_dir():
            raise BundleError(f"{path}", "a folder")
        read_manifest(path)
    except BundleError as error:
        raise InputError(f"{path}, which holds something other than a bundle", "an empty or a new folder", "choose another") from error


def _check_plan(plan: Plan | None, router: Router) -> None:
    """Refuse a plan that another router would carry out."""
    levers = () if plan is None else plan.payload()["levers"]
    for other in (lever["router"] for lever in levers if lever["kind"] == "route"):
        if other != router.version:
            raise InputError(
                f"a plan that routes by router {other}",
                f"the exported one, {router.version}",
                "export the plan's own router; τ, candidates and apps are part of it",
            )


def _write(path: Path, router: Router, training: Training | None, plan: Plan | None, evaluation: Mapping[str, Any] | None) -> None:
    statement = training.statement(router) if training is not None else "Not judged: it was exported without its training."
    files = {
        WEIGHTS: packed(pack(router.scorer)[1]),
        VECTORS: canonical({"vectors": _vectors(router)}),
        "model_card.md": card(router, training, statement).encode("utf-8"),
    }
    if plan is not None:
        files["plan.json"] = canonical(plan.payload())
    manifest = {
        **formats.header("bundle"),
        "planner": version("llm-traffic-planner"),
        "router": router_settings(router),
        "training": None if training is None else _training(training, router),
        "evaluation": evaluation,
        "statement": statement,
        "files": {name: sha256(content).hexdigest() for name, content in files.items()},
    }
    manifest["digest"] = sha256(canonical(manifest)).hexdigest()
    path.mkdir(mode=0o755)
    for name, content in {**files, MANIFEST: canonical(manifest)}.items():
        (path / name).write_bytes(content)


def _training(training: Training, router: Router) -> dict[str, Any]:
    """Return where the router comes from and, only if the table has it, what the table says."""
    method = training.method(router)
    if method is None:
        return {"labels_hash": training.labels_hash, "method": None}
    table = training.table.reset_index()
    return {
        "labels_hash": training.labels_hash,
        "method": method,
        "floor": training.floor,
        "notes": {k: _plain(v) for k, v in training.notes.items()},
        "table": [{k: _plain(v) for k, v in row.items()} for row in table.to_dict("records")],
    }


def _plain(value: Any) -> Any:
    """Return a JSON value; a number that is none becomes null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _apps(router: Router) -> list[str]:
    return [*(router.support.apps or ("default",)), "an app that no label knows"]


def _vectors(router: Router) -> list[dict[str, Any]]:
    """Decide made-up requests one by one, as production does."""
    stored = []
    for messages, metadata in made_up(_STORED, _apps(router)):
        scores = router.scores(Requests.one(messages, metadata, router.unit), _AT)
        model = router.candidates[int(router.choose(scores)[0][0])]
        gains = [repr(float(g)) for g in scores.gains[0]]
        stored.append({"messages": messages, "metadata": metadata, "at": _AT, "model": model, "gains": gains})
    return stored


def _labelled(training: Training | None) -> Requests | None:
    """Return the labelled requests, evenly thinned out where they are many."""
    if training is None:
        return None
    requests = training.problem.requests
    return requests.take(np.unique(np.linspace(0, len(requests) - 1, min(len(requests), _MOST_LABELLED)).astype(int)))


def _prove(path: Path, router: Router, requests: Requests | None) -> None:
    """Let a new process decide made-up and given requests with the written files alone; any difference refuses the bundle."""
    singles = made_up(_RESCORED, _apps(router), seed=1)
    names = {"app": "app", "has_tools": "tools", "response_format": "response_format", "max_tokens": "max_tokens"}
    beside = {column: [d.get(name) for _, d in singles] for column, name in names.items()}
    columns = [Requests.of([m for m, _ in singles], **beside, unit=router.unit), *([requests] if requests else [])]
    ours = [score(router, c, _AT) for c in columns]
    alone, theirs = rescore(path, singles, columns, _AT)
    for written, read in zip([*ours, ours[0]], [*theirs, Scored(alone, ours[0].gains)], strict=True):
        _compare(written, read)


def _compare(ours: Scored, theirs: Scored) -> None:
    flipped = sum(a != b for a, b in zip(ours.models, theirs.models, strict=True))
    off = int((~same(ours.gains, theirs.gains)).any(-1).sum())
    if flipped or off:
        raise BundleError(
            f"{flipped} decisions flipped and {off} gains off by more than {TOLERANCE:g} "
            f"in {len(ours.models)} requests scored with the written files",
            "none",
            "nothing was written: report this router's settings",
        )
