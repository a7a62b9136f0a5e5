"""A router as plain values and arrays, and back.

In: a scorer or rule. Out: its kind and settings (JSON values) and its arrays (npz), from which the same one is built again.
Knows nothing of files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planner.router.rules import AlwaysRule, LengthRule, TableRule
from planner.router.scorer import LinearScorer

__all__ = ["KINDS", "Scorer", "digest", "pack", "unpack"]

Scorer: TypeAlias = LinearScorer | AlwaysRule | TableRule | LengthRule
Arrays: TypeAlias = dict[str, NDArray[Any]]
#: Name in a manifest → type.
KINDS: Mapping[str, type[Scorer]] = {"linear": LinearScorer, "always": AlwaysRule, "table": TableRule, "length": LengthRule}
_NAMES = {kind: name for name, kind in KINDS.items()}


def pack(scorer: Scorer) -> tuple[dict[str, Any], Arrays]:
    """Return settings, with the kind, and arrays.

    >>> pack(AlwaysRule.model(1, 0, 2))[0]
    {'kind': 'always'}
    """
    if isinstance(scorer, LinearScorer):
        settings, arrays = scorer.state()
    else:
        settings = {k: list(v) for k, v in vars(scorer).items() if isinstance(v, tuple)}
        arrays = {k: v for k, v in vars(scorer).items() if isinstance(v, np.ndarray)}
    return {"kind": _NAMES[type(scorer)], **settings}, arrays


def unpack(settings: Mapping[str, Any], arrays: Arrays) -> Scorer:
    """Build from what ``pack`` returned; KeyError or TypeError when a setting or an array is missing."""
    rest = {k: v for k, v in settings.items() if k != "kind"}
    kind = KINDS[settings["kind"]]
    if kind is LinearScorer:
        return LinearScorer.of(rest, arrays)
    values: dict[str, Any] = {**{k: tuple(v) for k, v in rest.items()}, **arrays}
    return kind(**values)


def digest(scorer: Scorer) -> str:
    """SHA-256 of settings and arrays."""
    settings, arrays = pack(scorer)
    total = sha256(json.dumps(settings, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
