"""Which labelled requests train the router, and which judge it.

In: label items. Out: units that are never split (same duplicate group, same session, or same text), and for each whether it is
fit or holdout. Both depend on the items' own keys and the seed alone, so more labels never move an old one. Knows nothing of
models or quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

__all__ = ["HOLDOUT", "hash01", "split", "units"]

#: Share of units held out.
HOLDOUT = 0.3


def hash01(keys: Sequence[str], seed: int) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each key: the same for the same key and seed, on every machine.

    >>> hash01(["a"], 0) == hash01(["b", "a"], 0)[1]
    array([ True])
    """
    salt = f"planner {seed}".encode()[:16]
    digests = (blake2b(k.encode("utf-8", "replace"), digest_size=8, salt=salt).digest() for k in keys)
    return np.fromiter((int.from_bytes(d, "big") / 2**64 for d in digests), float, len(keys))


def units(items: pd.DataFrame, texts: Sequence[str]) -> NDArray[np.str_]:
    """Return each item's unit, named by the smallest hash among its members' keys, shape (n,).

    Parameters
    ----------
    items: ``schema.LABEL_ITEMS``; null groups and sessions bind nothing.
    texts: what the router reads of each; equal up to case and blanks is a duplicate.
    """
    columns = {
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
    own = keys["group"].fillna(keys["session"]).fillna(keys["text"]).fillna(keys["request"])
    names: NDArray[np.str_] = own.groupby(component).transform("min").to_numpy(dtype=str)
    return names


def _named(kind: str, values: Sequence[str | None]) -> list[str | None]:
    """Hash each key with its kind, so that a session called like a group binds nothing and no text travels on."""
    return [None if pd.isna(v) else blake2b(f"{kind} {v}".encode("utf-8", "replace"), digest_size=8).hexdigest() for v in values]


def split(unit: NDArray[np.str_], seed: int = 0, holdout: float = HOLDOUT) -> NDArray[np.bool_]:
    """Return which items are held out, shape (n,)."""
    names, code = np.unique(unit, return_inverse=True)
    return (hash01(names.tolist(), seed) < holdout)[code]
