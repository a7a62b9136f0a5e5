"""The same requests answered by other models than those of the log.

In: a Log, and the model of every request. Out: a Log of which the requests that stay where they were keep everything but what the
providers' caches give them. Knows nothing of who chose the models.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from planner.synthetic import calls
from planner.synthetic.labels import answered
from planner.synthetic.log import Log, fill_inputs, fill_latencies, fill_reuse
from planner.synthetic.world import MODELS

__all__ = ["served"]

_PROVIDERS = np.array([m.provider for m in MODELS], object)


def served(log: Log, model: NDArray[np.int64]) -> Log:
    """Return ``log`` as it is when ``model`` (n,), positions in MODELS, answers.

    Tokens, times and ends are those that labels of the same requests tell. Arrivals, and the earlier answers that conversations carry,
    stay those of the log.
    """
    table = log.table.copy()
    moved = model != log.column("model")
    for m in np.unique(model[moved]).tolist():
        rows = np.flatnonzero(moved & (model == m))
        found = answered(log, rows, m)
        table.loc[rows, "visible"] = found["output_tokens"].to_numpy()
        table.loc[rows, "runaway"] = (found["finish_reason"] == "length").to_numpy()
    table["model"], table["explored"] = model, table["explored"] & ~moved
    end = calls.ends(log.column("key"), log.column("hour"), _PROVIDERS[model], log.seed)
    table["status"], table["error"], table["code"], table["attempts"] = end.status, end.error, end.code, end.attempts
    fill_inputs(table, log.drafts)
    fill_latencies(table, log.drafts, log.seed)
    fill_reuse(table, log.drafts)
    return replace(log, table=table)
