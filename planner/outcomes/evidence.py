"""What stands behind another model's outcomes, cell by cell of (model, app, size of the input).

In: counts of the log and of its logged randomisation, and paired labels. Out: a table of counts and of what may be said: measured
where the log's own requests ran on the model, estimated with paired labels or logged randomisation, else assumed. Knows nothing of
plans or money.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.labels import Labels
from planner.outcomes.ratios import MIN_PAIRS, Key
from planner.outcomes.sizes import SIZE_NAMES, size_class
from planner.schema import EVIDENCE, TOKEN_BUCKETS
from planner.traffic.rows import Coded

__all__ = ["Evidence", "fit_evidence"]

Ints = NDArray[np.int64]
MEASURED, ESTIMATED, ASSUMED = range(len(EVIDENCE))


@dataclass(frozen=True, eq=False)
class Evidence:
    """Counts by ``models`` × ``apps`` × SIZE_NAMES, (M, A, S) each.

    Parameters
    ----------
    paired: labelled requests that the model and another one answered. logged: requests that it answered in the log.
    randomised: those of them that a logged policy sent there by chance. requests: all of the log, (A, S).
    """

    models: tuple[str, ...]
    apps: tuple[str, ...]
    paired: Ints = field(repr=False)
    logged: Ints = field(repr=False)
    randomised: Ints = field(repr=False)
    requests: Ints = field(repr=False)

    @property
    def codes(self) -> NDArray[np.int8]:
        """What may be said of each cell, positions in ``schema.EVIDENCE``, (M, A, S).

        Measured: all its requests ran on the model. Estimated: labels pair it there, or chance sent enough requests there.
        """
        told = (self.paired > 0) | (self.randomised >= MIN_PAIRS)
        seen = (self.logged == self.requests) & (self.requests > 0)
        return np.where(seen, MEASURED, np.where(told, ESTIMATED, ASSUMED)).astype(np.int8)

    def assumed(self, model: str, app: Coded, input_tokens: Ints) -> NDArray[np.bool_]:
        """Say of each request whether its outcomes on ``model`` are assumed, (n,)."""
        if model not in self.models:
            return np.ones(len(input_tokens), bool)
        by_cell = self.codes[self.models.index(model)]
        rows = np.array([self.apps.index(a) if a in self.apps else -1 for a in app.values], np.int64)[app.codes]
        return np.asarray((rows < 0) | (by_cell[rows, size_class(input_tokens)] == ASSUMED))

    @property
    def table(self) -> pd.DataFrame:
        """One row a cell that has requests or labels: model, app, size, the counts, and the evidence."""
        m, a, s = np.nonzero((self.requests[None] > 0) | (self.paired > 0))
        return pd.DataFrame(
            {
                "model": np.array(self.models, object)[m],
                "app": np.array(self.apps, object)[a],
                "size": np.array(SIZE_NAMES, object)[s],
                "n_paired": self.paired[m, a, s],
                "n_logged": self.logged[m, a, s],
                "n_randomised": self.randomised[m, a, s],
                "n_requests": self.requests[a, s],
                "evidence": np.array(EVIDENCE, object)[self.codes[m, a, s]],
            }
        )


def fit_evidence(counts: pd.DataFrame, labels: Labels | None, ratios: Mapping[Key, object]) -> Evidence:
    """Lay out the ``counts`` of a log (``survey.Survey``), all its rows; labels pair a model only where ``ratios`` know it."""
    of_labels = labels.models if labels is not None else ()
    models = tuple(sorted({*counts["model"], *of_labels} - {""}))
    apps = tuple(sorted({*counts["app"], *(labels.items["app"].unique() if labels is not None else ())}))
    shape = (len(models), len(apps), len(SIZE_NAMES))
    requests, logged, by_chance, paired = np.zeros(shape[1:], np.int64), *(np.zeros(shape, np.int64) for _ in range(3))
    app, size = _places(counts["app"].to_numpy(object), apps), counts["size"].to_numpy(np.int64)
    model = _places(counts["model"].to_numpy(object), models)
    np.add.at(requests, (app, size), counts["steerable"])
    named = model >= 0
    cell = (model[named], app[named], size[named])
    np.add.at(logged, cell, counts["steerable"][named])
    np.add.at(by_chance, cell, counts["randomised"][named])
    if labels is not None:
        pairs = _paired(labels, {key[1] for key in ratios})
        at = (_places(pairs["model"].to_numpy(object), models), _places(pairs["app"].to_numpy(object), apps), pairs["size"].to_numpy())
        np.add.at(paired, at, 1)
    return Evidence(models, apps, paired, logged, by_chance, requests)


def _places(values: NDArray[np.object_], names: tuple[str, ...]) -> Ints:
    return np.asarray(pd.Index(names).get_indexer(pd.Index(values)), np.int64)


def _paired(labels: Labels, known: set[str]) -> pd.DataFrame:
    """Return (model, app, size) of every answer to a question that another model answered too; the size is the mean over models."""
    plain = labels.outcomes[(labels.outcomes["prompt_variant"] == "") & (labels.outcomes["repeat"] == 0)]
    size = plain[list(TOKEN_BUCKETS[:4])].fillna(0).sum(axis=1).groupby(plain["request_id"]).mean()
    both = plain[plain.groupby("request_id")["model"].transform("size") > 1]
    both = both[both["model"].isin(known)]
    app = labels.items.set_index("request_id")["app"]
    return pd.DataFrame(
        {"model": both["model"], "app": app.loc[both["request_id"]].to_numpy(), "size": size_class(size.loc[both["request_id"]].to_numpy())}
    )
