"""Loading a bundle: every byte is checked, and the router proves itself on the bundle's test vectors before it is used.

In: a folder that ``planner.export`` wrote. Out: the Router, or one BundleError in one sentence: a changed byte, a missing or
extra file, a newer format, a weight that is no number, a test vector decided otherwise. Checksums show damage and mix-ups, not
a forger: who may write the folder is the operating system's affair. Knows nothing of training.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from planner import formats
from planner.errors import BundleError, InputError
from planner.router.capabilities import Capability, Support
from planner.router.costs import Costs
from planner.router.requests import Requests
from planner.router.router import Router
from planner.router.state import pack, unpack

__all__ = ["MANIFEST", "TOLERANCE", "VECTORS", "WEIGHTS", "canonical", "load", "read_manifest", "router_settings"]

MANIFEST, WEIGHTS, VECTORS = "manifest.json", "weights.npz", "test_vectors.json"
#: Largest difference of a gain between the router that was exported and the one that was loaded.
TOLERANCE = 1e-6
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_AGAIN = "export the bundle again, and copy the whole folder"


def canonical(value: Any) -> bytes:
    """Return the one way in which planner writes JSON into a bundle."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode("ascii")


def load(folder: str | Path) -> Router:
    """Load and check the bundle in ``folder``."""
    path = Path(folder)
    manifest, files = read_manifest(path)
    try:
        router = _router(manifest["router"], _arrays(files[WEIGHTS]))
        vectors = json.loads(files[VECTORS])["vectors"]
    except (InputError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise BundleError(f"{path}: the router cannot be built ({type(error).__name__}: {error})", fix=_AGAIN) from error
    _replay(router, vectors, path)
    return router


def read_manifest(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the checked manifest of the bundle at ``path`` and the checked bytes of its files."""
    try:
        raw = (path / MANIFEST).read_bytes()
        manifest = json.loads(raw)
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path}", f"a bundle with a readable {MANIFEST}", "run: planner export") from error
    if not isinstance(manifest, dict):
        raise BundleError(f"{path / MANIFEST}", "a JSON object", _AGAIN)
    manifest = formats.migrate("bundle", manifest, str(path / MANIFEST))
    rest = {k: v for k, v in manifest.items() if k != "digest"}
    if raw != canonical(manifest) or manifest.get("digest") != sha256(canonical(rest)).hexdigest():
        raise BundleError(f"{path / MANIFEST} was changed after it was written", fix=_AGAIN)
    return manifest, _files(path, manifest.get("files"))


def _files(path: Path, listed: Any) -> dict[str, bytes]:
    """Read the files that the manifest lists, and refuse any other."""
    if not isinstance(listed, dict) or not {WEIGHTS, VECTORS} <= set(listed):
        raise BundleError(f"{path / MANIFEST} without {WEIGHTS} and {VECTORS}", "both among its files", _AGAIN)
    for name in listed:
        if not _NAME.fullmatch(name) or name == MANIFEST:
            raise BundleError(f"{path / MANIFEST} lists the file {name!r}", "plain file names inside the bundle", _AGAIN)
    present = {p.name for p in path.iterdir()} - {MANIFEST}
    if present != set(listed):
        missing, extra = sorted(set(listed) - present), sorted(present - set(listed))
        raise BundleError(f"{path}: missing {missing}, not listed {extra}", "exactly the files of its manifest", _AGAIN)
    return {name: _checked(path / name, wanted) for name, wanted in listed.items()}


def _checked(file: Path, wanted: Any) -> bytes:
    if file.is_symlink() or not file.is_file():
        raise BundleError(f"{file}", "a plain file", _AGAIN)
    content = file.read_bytes()
    if sha256(content).hexdigest() != wanted:
        raise BundleError(f"{file} was changed after it was written", fix=_AGAIN)
    return content


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = dict(stored)
    except (BadZipFile, EOFError) as error:
        raise ValueError("weights are no npz file") from error
    for name, array in arrays.items():
        if array.dtype.kind not in "fi" or np.isnan(array).any():
            raise ValueError(f"weights {name!r} hold what is no number")
    return arrays


def router_settings(router: Router) -> dict[str, Any]:
    """Return all of ``router`` but its arrays as JSON values; an infinite τ is a string, as JSON has none."""
    return {
        "candidates": list(router.candidates),
        "reference": router.reference,
        "scorer": pack(router.scorer)[0],
        "costs": router.costs.state(),
        "capabilities": [c.state() for c in router.capabilities],
        "support": router.support.state(),
        "tau": router.tau if math.isfinite(router.tau) else str(router.tau),
        "unit": router.unit,
        "references": dict(router.references),
        "version": router.version,
    }


def _router(settings: Mapping[str, Any], arrays: dict[str, NDArray[Any]]) -> Router:
    support: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings["support"].items()}
    router = Router(
        tuple(settings["candidates"]),
        settings["reference"],
        unpack(settings["scorer"], arrays),
        Costs.of(settings["costs"]),
        tuple(Capability.of(c) for c in settings["capabilities"]),
        Support(**support),
        float(settings["tau"]),
        settings["unit"],
        tuple(sorted(settings["references"].items())),
    )
    if router.version != settings["version"]:
        raise ValueError(f"version {router.version}, the manifest says {settings['version']}")
    return router


def _replay(router: Router, vectors: Any, path: Path) -> None:
    """Decide the stored vectors again; they were decided one by one, as production does."""
    for number, vector in enumerate(vectors):
        scores = router.scores(Requests.one(vector["messages"], vector["metadata"], router.unit), vector["at"])
        code = int(router.choose(scores)[0][0])
        wanted = np.array([float(g) for g in vector["gains"]])
        with np.errstate(invalid="ignore"):
            near = np.abs(scores.gains[0] - wanted) <= TOLERANCE
        if router.candidates[code] != vector["model"] or not (near | (scores.gains[0] == wanted)).all():
            raise BundleError(
                f"{path}: test vector {number} is decided otherwise here ({router.candidates[code]!r}, it was {vector['model']!r})",
                fix="install the planner version in the manifest, or export the bundle again",
            )
