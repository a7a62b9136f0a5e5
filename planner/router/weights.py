"""The arrays of a bundle: numbers of the kind and shape that its scorer needs, and nothing else.

In: the bytes of weights.npz, the scorer's settings, how many candidates there are. Out: read-only arrays, or ValueError. No header is
believed before the bytes behind it are counted, and nothing is ever unpickled or decompressed. Knows nothing of how the arrays are used.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from planner.router.features import FeatureSpec
from planner.router.files import unzipped
from planner.router.structure import STRUCTURE

__all__ = ["packed", "unpacked"]

Arrays = dict[str, NDArray[Any]]
#: By kind of scorer: the arrays and their axes. A scorer with a link has a column for each candidate and each level.
_SHAPES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "linear": {
        "buckets": ("buckets",),
        "idf": ("buckets",),
        "weights": ("buckets", "columns"),
        "structure_mean": ("structure",),
        "structure_scale": ("structure",),
        "structure_weights": ("structure", "columns"),
        "intercept": ("columns",),
    },
    "always": {"row": ("candidates",)},
    "table": {"table": ("apps", "candidates"), "default": ("candidates",)},
    "length": {"intercept": ("candidates",), "slope": ("candidates",)},
}
_LINK = {"link_centre": ("levels",), "link_coef": ("candidates", "products")}
#: The array of whole numbers; all others are of single precision.
_WHOLE = "buckets"
#: Kinds in which −∞ says that no rule allows a candidate.
_FORBID = ("always", "table")
#: [bytes] of the weights of all hash buckets, as they lie in memory.
_MOST_DENSE = 1 << 30


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as npz: sorted, without times and not compressed, so that equal arrays make equal bytes on every machine."""
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_STORED) as archive:
        for name in sorted(arrays):
            content = io.BytesIO()
            npy.write_array(content, np.ascontiguousarray(arrays[name]), version=(1, 0), allow_pickle=False)
            archive.writestr(ZipInfo(f"{name}.npy"), content.getvalue())
    return out.getvalue()


def unpacked(content: bytes, settings: Mapping[str, Any], candidates: int) -> Arrays:
    """Return the arrays of a scorer with ``settings``; ValueError for other ones, another shape or kind, or what is no number.

    >>> unpacked(packed({"row": np.zeros(2, np.float32)}), {"kind": "always"}, 2)["row"].tolist()
    [0.0, 0.0]
    """
    arrays = {name.removesuffix(".npy"): _array(name, raw) for name, raw in unzipped(content, (ZIP_STORED,)).items()}
    kind, linked = settings["kind"], "link" in settings
    axes = {**_SHAPES[kind], **(_LINK if linked else {})}
    if set(arrays) != set(axes):
        raise ValueError(f"the weights are {', '.join(sorted(arrays))}, those of this scorer {', '.join(sorted(axes))}")
    sizes = _sizes(arrays, settings, candidates, linked)
    if linked and max(*settings["link"]["own"], settings["link"]["home"]) >= sizes["levels"]:
        raise ValueError(f"a link to more than its {sizes['levels']} levels")
    for name, array in arrays.items():
        shape = tuple(sizes[axis] for axis in axes[name])
        if array.dtype != (np.int32 if name == _WHOLE else np.float32) or array.shape != shape:
            raise ValueError(f"weights {name!r} are {array.dtype} of shape {array.shape}, not of {shape}")
        if np.isnan(array).any() or (np.isinf(array) if kind not in _FORBID else np.isposinf(array)).any():
            raise ValueError(f"weights {name!r} hold what is no number")
    if kind == "linear":
        _check_buckets(arrays[_WHOLE], FeatureSpec.of(settings["features"]).dim, sizes["columns"])
    return arrays


def _sizes(arrays: Arrays, settings: Mapping[str, Any], candidates: int, linked: bool) -> dict[str, int]:
    """Return the length of each axis."""
    levels = arrays["link_centre"].size if linked else 0
    return {
        "candidates": candidates,
        "levels": levels,
        "columns": candidates + levels,
        "products": 3,
        "structure": len(STRUCTURE),
        "apps": len(settings.get("apps", ())),
        "buckets": arrays[_WHOLE].size if _WHOLE in arrays else 0,
    }


def _check_buckets(buckets: NDArray[Any], dim: int, columns: int) -> None:
    ascending = (buckets[1:] > buckets[:-1]).all() and buckets.min(initial=0) >= 0 and buckets.max(initial=0) < dim
    if not ascending or 4 * dim * columns > _MOST_DENSE:
        raise ValueError(f"weights are of buckets that are not ascending below {dim}, or too many for {columns} columns")


def _array(name: str, content: bytes) -> NDArray[Any]:
    """Return one array; its header is read with numpy, and must describe exactly the bytes that follow."""
    file = io.BytesIO(content)
    if not name.endswith(".npy") or npy.read_magic(file) != (1, 0):
        raise ValueError(f"weights {name!r} are no array")
    shape, columns_first, kind = npy.read_array_header_1_0(file)
    if kind.str not in ("<f4", "<i4") or columns_first:
        raise ValueError(f"weights {name!r} are of kind {kind.str!r}, not plain numbers")
    if len(content) - file.tell() != math.prod(shape) * kind.itemsize or min(shape, default=1) < 0:
        raise ValueError(f"weights {name!r} are not as long as they say")
    return np.frombuffer(content, kind, offset=file.tell()).reshape(shape)
