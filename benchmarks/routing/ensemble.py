"""What the alternatives reach together: their gains, stacked on the training rows.

In: the Fitted of other methods by task. Out: one more Method, a least-squares mix with weights of at least 0. No single product
does this; the row shows how far words, embeddings and domains carry on these rows. Knows nothing of metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.optimize import nnls

from benchmarks.routing.data import Data
from benchmarks.routing.folds import Task
from benchmarks.routing.method import Fitted, Method

__all__ = ["Kept", "ensembles", "keep"]

#: Method name → task's seed → what was fitted.
Kept = dict[str, dict[int, Fitted]]
#: Rows times models beyond which nothing is kept: it would not fit into memory.
_MOST = 200_000
_PARTS = ("tfidf_ridge", "knn_minilm", "mlp_minilm", "mf_minilm", "domain_table")


def keep(kept: Kept, method: Method, task: Task, fitted: Fitted) -> None:
    """Remember what an ensemble will be made of, unless it is too much."""
    if method.name.startswith(_PARTS) and fitted.inside.size + fitted.outside.size <= _MOST:
        kept.setdefault(method.name, {})[task.seed] = replace(fitted, decide=None)


def ensembles(kept: Kept) -> list[Method]:
    """Return the ensembles of what was kept: of those that see text alone, and of all."""
    text = {n: f for n, f in kept.items() if n.endswith("_text")}
    found = [("text", text)] if len(text) > 1 else []
    return [_method(i, p) for i, p in [*found, *([("all", dict(kept))] if len(kept) > max(len(text), 1) else [])]]


def _method(inputs: str, parts: Mapping[str, Mapping[int, Fitted]]) -> Method:
    def fit(data: Data, task: Task) -> Fitted:
        found = [by_task[task.seed] for by_task in parts.values()]
        gain = data.gain[task.train]
        told = ~np.isnan(gain) & (np.arange(data.k) != data.reference)
        root = np.sqrt(np.broadcast_to(data.weight[task.train][:, None], gain.shape)[told])
        share, _ = nnls(np.column_stack([f.inside[told] * root for f in found]), gain[told] * root)
        inside, outside = (np.tensordot(share, np.stack([getattr(f, side) for f in found]), 1) for side in ("inside", "outside"))
        return Fitted(inside, outside, dict(zip(parts, share.round(3).tolist(), strict=True)))

    return Method(f"ensemble_{inputs}", inputs, "ensemble", fit)
