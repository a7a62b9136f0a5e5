"""How often each model fails, by kind, as logged.

In: Rows. Out: a table model → probability of each status. A model seen too rarely is absent: the caller keeps the
logged outcome and calls it assumed. Knows nothing of retries: those are a lever.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from planner.schema import STATUSES
from planner.traffic.rows import Rows

__all__ = ["failure_rates"]

#: Fewer calls than this cannot show a rate of one in a hundred.
MIN_CALLS = 300


def failure_rates(rows: Rows) -> Mapping[str, NDArray[np.float64]]:
    """Return for every model with at least 300 logged calls the share of each of ``schema.STATUSES``, summing to 1."""
    own = rows.take(rows.billable)
    shape = (len(own.model.values), len(STATUSES))
    counts = np.zeros(shape)
    np.add.at(counts, (own.model.codes, own.status), 1)
    return {m: c / c.sum() for m, c in zip(own.model.values, counts, strict=True) if c.sum() >= MIN_CALLS}
