"""Writing a bundle: the router as files that production loads with numpy and a tokenizer alone.

In: a router, and what is known about how it was made. Out: a directory with a manifest over every byte; the same inputs write
the same bytes. It is only left behind after its files alone have scored a thousand requests as the router did. Knows nothing
of gateways.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner import formats
from planner.bundle.card import card
from planner.bundle.vectors import made_up
from planner.errors import BundleError, InputError
from planner.policies import Plan
from planner.router import Requests, Router
from planner.router.load import MANIFEST, TOLERANCE, VECTORS, WEIGHTS, canonical, load, read_manifest, router_settings
from planner.router.state import pack
from planner.training import Training

__all__ = ["export"]

#: Made-up requests stored in the bundle, and re-scored before it is left behind.
_STORED, _RESCORED = 48, 1_000
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
    requests: real requests on which the files must score as the router does; nothing of them is stored.

    Raises BundleError when the written files score differently, InputError when the folder holds something else or the plan
    routes by another router.
    """
    path = Path(folder)
    _check_free(path)
    _check_plan(plan, router)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        made = Path(scratch) / "bundle"
        _write(made, router, training, plan, evaluation)
        _prove(made, router, requests)
        if path.exists():
            path.rename(Path(scratch) / "before")
        made.rename(path)
    return path


def _check_free(path: Path) -> None:
    """Refuse a folder whose content somebody may still want."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    try:
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
        WEIGHTS: _npz(pack(router.scorer)[1]),
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


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as npz: sorted, without times, so that equal arrays make equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(arrays):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), zipfile.ZIP_DEFLATED)
    return out.getvalue()


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


def _prove(path: Path, router: Router, requests: Requests | None) -> None:
    """Score made-up and given requests with the written files alone; any difference refuses the bundle."""
    read = load(path)
    pairs = made_up(_RESCORED, _apps(router), seed=1)
    batches = [Requests.of([m for m, _ in pairs], app=[d["app"] for _, d in pairs], unit=router.unit)]
    for batch in [*batches, *([] if requests is None else [requests])]:
        ours, theirs = router.scores(batch, _AT), read.scores(batch, _AT)
        with np.errstate(invalid="ignore"):
            same = (np.abs(ours.gains - theirs.gains) <= TOLERANCE) | (ours.gains == theirs.gains)
        flipped = int((router.choose(ours)[0] != read.choose(theirs)[0]).sum())
        if flipped or not same.all():
            raise BundleError(
                f"{flipped} decisions flipped and {int((~same).any(1).sum())} gains off by more than {TOLERANCE:g} "
                f"in {len(batch)} requests scored with the written files",
                "none",
                "nothing was written: report this router's settings",
            )
