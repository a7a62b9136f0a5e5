"""Which labelled requests train the router, which certify its threshold, and which judge it.

In: label items. Out: units that are never split (same user, duplicate group, session or text), and the part of each. Both
depend on the items' own keys and the seed alone, so more labels never move an old one, unless they tie its unit to another. Knows
nothing of models or quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from planner.stats.draws import key, uniform

__all__ = ["LARGEST", "MIN_UNITS", "PARTS", "bind", "split", "units"]

#: What a unit does, with its share: it fits gains and rules, it chooses and certifies a threshold, or it only judges.
PARTS = {"fit": 0.5, "calibrate": 0.25, "judge": 0.25}
#: Fewer different requests than this cannot be split into fitting and judging.
MIN_UNITS = 50
#: Share of the items that one user's unit may hold.
LARGEST = 0.2


def bind(items: pd.DataFrame, texts: Sequence[str], counted: NDArray[np.bool_]) -> tuple[NDArray[np.str_], str]:
    """Return each item's unit and, where users were left out of it, a sentence that says so, else "".

    Users bind when that leaves MIN_UNITS units of the ``counted`` items and none with more than LARGEST of them.
    """
    whole, less = units(items, texts), units(items.assign(user=None), texts)
    size = np.unique(whole[counted], return_counts=True)[1]
    largest = size.max(initial=0) / max(size.sum(), 1)
    if (len(size) >= MIN_UNITS and largest <= LARGEST) or len(np.unique(less)) == len(np.unique(whole)):
        return whole, ""
    why = f"only {len(size)} units would remain" if len(size) < MIN_UNITS else f"the largest unit would hold {largest:.0%} of the rows"
    return less, f"One user's requests may have trained and judged: tied by user, {why}; only sessions and duplicates are never split."


def units(items: pd.DataFrame, texts: Sequence[str]) -> NDArray[np.str_]:
    """Return each item's unit, named by the smallest hash among its members' keys, shape (n,).

    Parameters
    ----------
    items: ``schema.LABEL_ITEMS``; null users, groups and sessions bind nothing.
    texts: what the router reads of each; equal up to case and blanks is a duplicate.
    """
    columns = {
        "user": items["user"].tolist(),
        "group": items["group"].tolist(),
        "session": items["session_id"].tolist(),
        "text": [" ".join(t.lower().split()) or None for t in texts],
        "request": items["request_id"].tolist(),
    }
    keys = pd.DataFrame({kind: _named(kind, values) for kind, values in columns.items()})
    n = len(keys)
    codes = pd.factorize(keys.to_numpy().ravel())[0].reshape(keys.shape)
    row, column = np.nonzero(codes >= 0)
    graph = coo_matrix((np.ones(len(row)), (row, n + codes[row, column])), shape=(n + codes.max(initial=0) + 1,) * 2)
    component = connected_components(graph, directed=False)[1][:n]
    own = keys["user"].fillna(keys["group"]).fillna(keys["session"]).fillna(keys["text"]).fillna(keys["request"])
    names: NDArray[np.str_] = own.groupby(component).transform("min").to_numpy(dtype=str)
    return names


def _named(kind: str, values: Sequence[str | None]) -> list[str | None]:
    """Hash each key with its kind, so that a session called like a group binds nothing and no text travels on."""
    return [None if pd.isna(v) else blake2b(f"{kind} {v}".encode("utf-8", "replace"), digest_size=8).hexdigest() for v in values]


def split(unit: NDArray[np.str_], seed: int = 0) -> NDArray[np.str_]:
    """Return the part of each item, a key of PARTS, shape (n,); units are dealt whole.

    >>> sorted(set(split(np.array([str(i) for i in range(99)])).tolist()))
    ['calibrate', 'fit', 'judge']
    """
    names, code = np.unique(unit, return_inverse=True)
    ends = np.cumsum(list(PARTS.values()))
    part: NDArray[np.str_] = np.array(list(PARTS))[np.searchsorted(ends[:-1], uniform(seed, key(names), "split"), side="right")][code]
    return part
