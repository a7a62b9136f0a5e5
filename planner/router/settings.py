"""A router as the settings in a manifest, and back.

In: a Router; or JSON values and the bytes of the weights. Out: JSON values; or the Router that says exactly these of itself, or
ValueError, TypeError, KeyError, InputError for what no router has. Knows nothing of files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_type_hints

from planner.router.capabilities import Capability, Support
from planner.router.costs import Costs
from planner.router.features import FeatureSpec
from planner.router.router import Router
from planner.router.state import pack, unpack
from planner.router.weights import unpacked

__all__ = ["canonical", "router_of", "router_settings"]

#: Whole numbers of a manifest are below it: they are compared with tokens, of 64 bits.
_MOST = 1 << 62


def canonical(value: Any) -> bytes:
    """Return the one way in which planner writes JSON into a bundle."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode("ascii")


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


def router_of(settings: Mapping[str, Any], weights: bytes) -> Router:
    """Build the router of ``router_settings`` and the bytes of its arrays."""
    scorer, names, references = settings["scorer"], settings["candidates"], settings["references"]
    if not _texts([*names, settings["reference"], *scorer.get("apps", ()), *references, *references.values()]):
        raise ValueError("names of models or apps that are no text")
    rates = [v for v in settings["costs"].values() if not isinstance(v, str)]
    if any(len(r) != len(names) or not all(type(v) is float for v in r) for r in rates):
        raise ValueError("rates that are not one number for each candidate")
    support: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in _fitting(Support, settings["support"]).items()}
    router = Router(
        tuple(names),
        settings["reference"],
        unpack(scorer, unpacked(weights, _scorer(scorer, len(names)), len(names))),
        Costs.of(settings["costs"]),
        tuple(Capability.of(_fitting(Capability, c)) for c in settings["capabilities"]),
        Support(**support),
        float(settings["tau"]),
        settings["unit"],
        tuple(sorted(references.items())),
    )
    if router.version != settings["version"]:
        raise ValueError(f"version {router.version}, the manifest says {settings['version']}")
    if canonical(router_settings(router)) != canonical(settings):
        raise ValueError("settings that no router says of itself")
    return router


def _scorer(settings: Mapping[str, Any], candidates: int) -> Mapping[str, Any]:
    """Return the settings of a scorer whose numbers are such that it can score."""
    if settings["kind"] == "linear":
        _fitting(FeatureSpec, settings["features"])
        block, link = settings["block"], settings.get("link", {"own": [0] * candidates, "home": 0})
        if len(block) != 3 or not all(type(b) in (int, float) and math.isfinite(b) for b in block):
            raise ValueError(f"weights of blocks {block}")
        if len(link["own"]) != candidates or not all(map(_whole, [*link["own"], link["home"]])):
            raise ValueError("a link that is not one of its candidates")
    return settings


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST


def _texts(value: Iterable[Any]) -> bool:
    return all(type(v) is str for v in value)


def _some_texts(value: Any) -> bool:
    return isinstance(value, list) and _texts(value)


#: What JSON value a field of each type comes from.
_FITS: Mapping[Any, Callable[[Any], bool]] = {
    bool: lambda v: type(v) is bool,
    str: lambda v: type(v) is str,
    int: _whole,
    int | None: lambda v: v is None or _whole(v),
    tuple[str, ...]: _some_texts,
    tuple[str, ...] | None: lambda v: v is None or _some_texts(v),
}


def _fitting(kind: type, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``values`` if each is of its field's type."""
    types = get_type_hints(kind)
    for name, value in values.items():
        if not _FITS[types[name]](value):
            raise ValueError(f"{kind.__name__} with {name} {value!r}")
    return values
