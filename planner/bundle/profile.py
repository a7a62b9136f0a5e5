"""Profile: how the requests of a log are spread over what the router reads, decides and sees, as counts that hold no text.

In: a log and a router. Out: plain values for a manifest: binned counts of the router's features and scores, and counts of decisions,
reasons, models, apps and prompt versions, each by groups of users that a test may permute. The same of a later log, in the bins of the
first, stands beside it. Knows nothing of tests or alarms.

Keys: ``rows``, ``clusters``, ``groups`` (G), ``unit``; ``features`` and ``scores``: name → {``edges`` (m), ``counts`` (G, m + 1)}; in them
the bin of x is ``searchsorted(edges, x, side="right")``. ``decisions``, ``reasons``, ``models``, ``apps``, ``prompt_versions``: name →
(G,).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from planner.errors import NeedsError
from planner.router import REASONS, Requests, Router
from planner.router.features import TURN, parts
from planner.router.structure import STRUCTURE, amounts, structure
from planner.stats import draws
from planner.traffic import Traffic
from planner.traffic.rows import Coded, coded, load_rows, string_keys

__all__ = ["MOST_ROWS", "profile"]

#: Requests that are read, and groups, at most; clusters in a group on average, at least, so that no group is one user's.
MOST_ROWS, _GROUPS, _CLUSTERS = 50_000, 64, 10
_BINS, _VERSIONS, _PIECE = 10, 200, 4_096
_TEXT = ("messages", "app", "has_tools", "response_format", "modalities", "max_tokens", "text_state")
_WHO = ("user", "session_id", "request_id")


def profile(traffic: Traffic, router: Router, *, like: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the profile of the users' own requests in ``traffic``; at most MOST_ROWS of them, drawn by request id.

    ``like`` is an earlier profile: its bins and its number of groups are kept, so that the two can be compared.
    NeedsError where no request of a user reached a provider.
    """
    rows = load_rows(traffic)
    mine = np.flatnonzero(rows.steerable)
    if not len(mine):
        raise NeedsError("no request of a user that reached a provider", "at least one", "look at the coverage table of planner read")
    at = np.sort(mine[np.argsort(draws.uniform(0, rows.key[mine], "profile"), kind="stable")][:MOST_ROWS])
    named = traffic.take(at, *_WHO, "prompt_version")
    clusters = len(np.unique(string_keys(pc.coalesce(*(named[name] for name in _WHO)))))
    groups = like["groups"] if like else _groups(clusters)
    group = rows.bucket[at] % groups
    shape, gains, decided, reasons = _read(traffic, router, at, str(rows.timestamp.max().astype("datetime64[D]")))
    before = like or {}
    columns = {name: shape[:, j] for j, name in enumerate(STRUCTURE)}
    scores = {name: np.where(np.isfinite(gains[:, k]), gains[:, k], np.nan) for k, name in enumerate(router.candidates)}
    return {
        "rows": len(at),
        "clusters": clusters,
        "groups": groups,
        "unit": router.unit,
        "features": _histograms(columns, group, groups, before.get("features", {})),
        "scores": _histograms(scores, group, groups, before.get("scores", {})),
        "decisions": _counts(Coded(decided.astype(np.int32), router.candidates), group, groups),
        "reasons": _counts(Coded(reasons.astype(np.int32), REASONS), group, groups),
        "models": _counts(Coded(rows.model.codes[at], rows.model.values), group, groups),
        "apps": _counts(Coded(rows.app.codes[at], rows.app.values), group, groups),
        "prompt_versions": _kept(_counts(coded(named["prompt_version"]), group, groups)),
    }


def _groups(clusters: int) -> int:
    """Return the number of groups: a power of two, so that a cluster of one group is in one of any smaller number."""
    return min(_GROUPS, 1 << max((clusters // _CLUSTERS).bit_length() - 1, 0))


def _read(traffic: Traffic, router: Router, at: NDArray[np.int64], day: str) -> tuple[NDArray[Any], ...]:
    """Return the structure, gains, decisions and reasons of the requests at ``at``, reading some thousand at a time."""
    traffic.require_text("a router")
    found = []
    for start in range(0, len(at), _PIECE):
        table = traffic.take(at[start : start + _PIECE], *_TEXT)
        requests = Requests.of(**{name: table[name].to_pylist() for name in _TEXT}, unit=router.unit)
        text = np.concatenate([amounts(p.ids, p.bounds) for p in parts(requests.user, TURN)])
        scores = router.scores(requests, day)
        found.append((structure(requests, text), scores.gains, *router.choose(scores)))
    return tuple(np.concatenate(columns) for columns in zip(*found, strict=True))


def _histograms(
    columns: Mapping[str, NDArray[Any]], group: NDArray[np.int64], groups: int, before: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Bin each column at its own edges, or at those that ``before`` gives; what is no number is in no bin."""
    found = {}
    for name, values in columns.items():
        known = np.isfinite(values)
        edges = np.asarray(before[name]["edges"] if name in before else _edges(values[known]), float)
        place = np.searchsorted(edges, values[known].astype(float), side="right")
        counts = np.zeros((groups, len(edges) + 1), np.int64)
        np.add.at(counts, (group[known], place), 1)
        found[name] = {"edges": edges.tolist(), "counts": counts.tolist()}
    return found


def _edges(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the deciles, each once, the least value and the next number above the largest: what was never seen has bins of its own.

    >>> _edges(np.array([0, 0, 0, 1], np.float32)).tolist(), _edges(np.zeros(0)).tolist()
    ([0.0, 1.0, 1.0000001192092896], [])
    """
    if not len(values):
        return np.zeros(0)
    inside = np.quantile(values, np.arange(_BINS) / _BINS, method="higher")
    return np.unique(np.append(inside, np.nextafter(values.max(), np.inf, dtype=values.dtype)).astype(float))


def _counts(column: Coded, group: NDArray[np.int64], groups: int) -> dict[str, list[int]]:
    """Count each value by group; values that do not occur are left out."""
    table = np.zeros((len(column.values), groups), np.int64)
    np.add.at(table, (column.codes, group), 1)
    return {name: row.tolist() for name, row in sorted(zip(column.values, table, strict=True), key=lambda p: p[0]) if row.any()}


def _kept(counts: dict[str, list[int]]) -> dict[str, list[int]]:
    """Keep the most frequent values by name, and add the rest up under ``other``."""
    order = sorted(counts, key=lambda name: (-sum(counts[name]), name))
    kept = {name: counts[name] for name in sorted(order[:_VERSIONS])}
    rest = [counts[name] for name in order[_VERSIONS:]]
    return kept | ({"other": np.sum(rest, axis=0).tolist()} if rest else {})
