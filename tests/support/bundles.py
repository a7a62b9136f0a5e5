"""Bundles rewritten as somebody would who knows how they are checked: every hash and digest fits."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from planner.router.files import MANIFEST
from planner.router.load import WEIGHTS
from planner.router.settings import canonical


def resign(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest, and make its digest again."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    change(manifest)
    del manifest["digest"]
    manifest["digest"] = sha256(canonical(manifest)).hexdigest()
    (folder / MANIFEST).write_bytes(canonical(manifest))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Put other content into a bundle, with the right hash."""
    (folder / name).write_bytes(content)
    resign(folder, lambda m: m["files"].update({name: sha256(content).hexdigest()}))


def members(folder: Path) -> dict[str, bytes]:
    """Return the files inside the weights."""
    with ZipFile(folder / WEIGHTS) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: Mapping[str, bytes], method: int = ZIP_STORED) -> bytes:
    """Return files as a zip, written as a bundle's weights are but for the method."""
    out = io.BytesIO()
    with ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(ZipInfo(name), content, method)
    return out.getvalue()


def array(value: Any, **settings: Any) -> bytes:
    """Return an array as the bytes of a .npy file."""
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asarray(value), **settings)
    return out.getvalue()
