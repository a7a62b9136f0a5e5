"""Loading a bundle: every byte is checked, and the router proves itself on the bundle's test vectors before it is used.

In: what ``planner.export`` wrote: its folder, the folder a gateway runs, or the files packed as one .zip. Out: the Router, or one
BundleError in one sentence: a changed byte, a missing or extra file, a newer format, a weight that is no number, a test vector decided
otherwise. Checksums show damage and mix-ups, not a forger; what a forger writes is still only read as numbers and names. Who may
write the files is the operating system's affair. Knows nothing of training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner import formats
from planner.errors import BundleError
from planner.router.files import AGAIN, MANIFEST, PLAIN, contents, located
from planner.router.requests import Requests
from planner.router.router import Router
from planner.router.settings import canonical, router_of, router_settings

__all__ = ["MANIFEST", "TOLERANCE", "VECTORS", "WEIGHTS", "canonical", "load", "read_manifest", "router_settings", "same"]

WEIGHTS, VECTORS = "weights.npz", "test_vectors.json"
#: Largest difference of a gain between the router that was exported and the one that was loaded.
TOLERANCE = 1e-6


def load(folder: str | Path) -> Router:
    """Load and check the bundle in ``folder``, in its subfolder ``bundle``, or in a .zip of that name."""
    path = located(Path(folder))
    manifest, files = read_manifest(path)
    try:
        router = router_of(manifest["router"], files[WEIGHTS])
        _replay(router, json.loads(files[VECTORS])["vectors"], path)
    except BundleError:
        raise
    except Exception as error:  # whatever else is in the files, it is refused as one thing
        said = " ".join(str(error).split())[:300]
        raise BundleError(f"{path}: the router cannot be built ({type(error).__name__}: {said})", fix=AGAIN) from error
    return router


def read_manifest(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the checked manifest of the bundle at ``path`` (a folder or a .zip) and the checked bytes of its other files."""
    try:
        files = contents(path)
        raw = files.pop(MANIFEST)
        manifest = json.loads(raw)
        rest = {k: v for k, v in manifest.items() if k != "digest"}
        told = (canonical(manifest), manifest.get("digest"), sha256(canonical(rest)).hexdigest())
    except (OSError, KeyError, ValueError, RecursionError, AttributeError) as error:
        raise BundleError(f"{path}", f"a bundle with a readable {MANIFEST}", "run: planner export LABELS --out FOLDER") from error
    manifest = formats.migrate("bundle", manifest, str(path / MANIFEST))
    if raw != told[0] or told[1] != told[2]:
        raise BundleError(f"{path / MANIFEST} was changed after it was written", fix=AGAIN)
    _check_files(path, manifest.get("files"), files)
    return manifest, files


def _check_files(path: Path, listed: Any, files: Mapping[str, bytes]) -> None:
    """Refuse a file that the manifest does not list, that is not there, or that has other bytes."""
    if not isinstance(listed, dict) or not {WEIGHTS, VECTORS} <= set(listed):
        raise BundleError(f"{path / MANIFEST} without {WEIGHTS} and {VECTORS}", "both among its files", AGAIN)
    for name in listed:
        if not PLAIN.fullmatch(name) or name == MANIFEST:
            raise BundleError(f"{path / MANIFEST} lists the file {name!r}", "plain file names inside the bundle", AGAIN)
    if set(files) != set(listed):
        missing, extra = sorted(set(listed) - set(files)), sorted(set(files) - set(listed))
        raise BundleError(f"{path}: missing {missing}, not listed {extra}", "exactly the files of its manifest", AGAIN)
    for name, wanted in listed.items():
        if sha256(files[name]).hexdigest() != wanted:
            raise BundleError(f"{path / name} was changed after it was written", fix=AGAIN)


def same(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which gains are within TOLERANCE of each other, or the same infinity.

    >>> same(np.array([1.0, -np.inf, 0.0]), np.array([1.0000009, -np.inf, 0.1])).tolist()
    [True, True, False]
    """
    with np.errstate(invalid="ignore"):
        near: NDArray[np.bool_] = (np.abs(ours - theirs) <= TOLERANCE) | (ours == theirs)
    return near


def _replay(router: Router, vectors: list[dict[str, Any]], path: Path) -> None:
    """Decide the stored vectors again, one by one and in columns."""
    if not vectors:
        raise ValueError("no test vector")
    for number, vector in enumerate(vectors):
        scores = router.scores(Requests.one(vector["messages"], vector["metadata"], router.unit), vector["at"])
        code, alone = int(router.choose(scores)[0][0]), router.decide(vector["messages"], vector["metadata"], at=vector["at"])
        near = same(scores.gains[0], np.array([float(g) for g in vector["gains"]]))
        if {router.candidates[code], alone.model} != {vector["model"]} or not near.all():
            raise BundleError(
                f"{path}: test vector {number} is decided otherwise here ({router.candidates[code]!r}, it was {vector['model']!r})",
                fix="install the planner version in the manifest, or export the bundle again",
            )
