"""Which models the labels speak about, app by app.

In: quality of every labelled answer, and each row's app and reference. Out: which models can be judged there. Apps may have
been labelled on different models: each on its own model of today, beside the candidates. Knows nothing of text or costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.router import Capability

__all__ = ["able_in", "best_known", "kept_to_labels"]

F64 = NDArray[np.float64]
#: A model is judged in an app where it answered at least this share of the requests that the app's reference answered.
_SHARE = 0.2
#: Models with at least this share of the labels of the most labelled one may be the common reference.
_COVERED = 0.95


def able_in(quality: F64, apps: Sequence[str], home: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which models have labels in each row's app, (n, K); the row's own reference always does.

    >>> graded = np.array([[1, 0, np.nan], [1, 1, np.nan], [np.nan, 1, 1]])
    >>> able_in(graded, ["chat", "chat", "mail"], np.array([0, 0, 2])).tolist()
    [[True, True, False], [True, True, False], [False, True, True]]
    """
    rows = np.arange(len(home))
    known, own = ~np.isnan(quality), ~np.isnan(quality[rows, home])
    both = pd.DataFrame(known & own[:, None]).groupby(np.asarray(apps, object)).transform("sum").to_numpy(float)
    count = pd.Series(own).groupby(np.asarray(apps, object)).transform("sum").to_numpy(float)
    able: NDArray[np.bool_] = both >= np.maximum(_SHARE * count, 1)[:, None]
    able[rows, home] = True
    return able


def best_known(quality: F64, weight: F64) -> int:
    """Return the best model among those that answered the most requests, by its mean over the rows that all of these answered."""
    known = ~np.isnan(quality)
    often = np.flatnonzero(known.sum(0) >= _COVERED * known.sum(0).max())
    whole = known[:, often].all(1)
    means = np.average(quality[whole][:, often], axis=0, weights=weight[whole]) if whole.any() else np.nanmean(quality[:, often], axis=0)
    return int(often[np.argmax(means)])


def kept_to_labels(capabilities: Sequence[Capability], able: NDArray[np.bool_], apps: Sequence[str]) -> tuple[Capability, ...]:
    """Keep each model to the apps in which labels speak about it; one with labels in all of them may answer any."""
    by_app = {app: able[np.flatnonzero(np.asarray(apps, object) == app)[0]] for app in dict.fromkeys(apps)}
    return tuple(_kept(c, {a for a, can in by_app.items() if not can[k]}, {*by_app}) for k, c in enumerate(capabilities))


def _kept(known: Capability, silent: set[str], apps: set[str]) -> Capability:
    return known if not silent else replace(known, apps=tuple(sorted((apps if known.apps is None else set(known.apps)) - silent)))
