"""How much of what grades say is noise: the same thing graded twice, the judge's two orders, two people.

In: labels with repeats, or two gradings of the same answers; choices of raters. Out: shares with intervals and one sentence. Says by error
what to grade twice where nothing was. Knows nothing of graders.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError, NeedsError, did_you_mean
from planner.labels.grading import LOGGED, TIE
from planner.labels.table import Labels
from planner.stats import BUCKETS, Estimate, buckets, effective_clusters, jackknife

__all__ = ["FLIP", "Noise", "noise", "orders", "shares"]

F64 = NDArray[np.float64]
#: Two grades differ when they are at least so far apart: right against wrong, or decided against a tie.
FLIP = 0.5
_NAMES = {
    "differ": "two gradings differ by half the scale or more",
    "gain_noise": "of the variance of gains is noise",
    "headroom_noise": "of the apparent headroom does not come back in a second grading",
    "orders_differ": "the judge's two orders disagree (a tie)",
    "first_wins": "of its decided verdicts went to the answer shown first",
}


@dataclass(frozen=True, eq=False)
class Noise:
    """Shares with their 95 % intervals, as far as the labels tell: None or NaN where they do not.

    Parameters
    ----------
    kind: ``repeats`` (a model asked again, its answer graded again) or ``again`` (the same answers graded again).
    differ: of two gradings, how often they are FLIP or more apart. gain_noise: share of the variance of gains over the reference.
    headroom_noise: share of mean(best − reference) that is not there when the winners of one grading are read in the other; an oracle
        without noise would lie between.
    orders_differ, first_wins: of a judge asked in both orders.
    """

    kind: str
    reference: str
    differ: Estimate | None
    gain_noise: Estimate | None
    headroom_noise: Estimate | None
    orders_differ: Estimate | None = None
    first_wins: Estimate | None = None
    grader: str = field(default="", repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """One row a share: ``value, low, high, n, evidence`` and what it is."""
        found = {n: getattr(self, n) for n in _NAMES}
        rows = [(n, e.value, e.low, e.high, e.n, e.evidence, _NAMES[n]) for n, e in found.items() if e is not None]
        return pd.DataFrame(rows, columns=["share", "value", "low", "high", "n", "evidence", "what"]).set_index("share")

    @property
    def text(self) -> str:
        """What of the labels is noise, in a sentence or two."""
        said = []
        if self.differ is not None:
            what = "gradings of the same answer" if self.kind == "again" else "answers of one model to the same request"
            said.append(f"Two {what} are graded half the scale or more apart in {_percent(self.differ)} of {self.differ.n:,}")
        if self.gain_noise is not None:
            said.append(f"{_percent(self.gain_noise)} of the variance of gains over {self.reference} is noise")
        if self.headroom_noise is not None:
            said.append(f"about {_percent(self.headroom_noise)} of the apparent headroom is noise: it does not come back the second time")
        if self.orders_differ is not None:
            said.append(f"the judge's two orders disagree in {_percent(self.orders_differ)} of {self.orders_differ.n:,} comparisons (ties)")
        if self.first_wins is not None:
            said.append(f"{_percent(self.first_wins)} of its decided verdicts went to the answer shown first")
        whole = "; ".join(said)
        return f"{whole[:1].upper()}{whole[1:]}. Measured{f' with {self.grader}' if self.grader else ''}."

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.to_html(escape=True)}"


def _percent(found: Estimate) -> str:
    between = "" if found.low is None or found.high is None else f" [{100 * found.low:.0f}, {100 * found.high:.0f}]"
    return f"{100 * found.value:.0f} %{between}"


def noise(labels: Labels, again: Labels | None = None, *, reference: str | None = None) -> Noise:
    """Measure the noise of grades on what was graded twice.

    Parameters
    ----------
    again: a second grading of the same answers: the grader's noise alone. Without it, repeats of the same request and model:
        the noise of answers and grades together, which is what one label a request carries.
    reference: the model over which gains are taken; by default what the grader compared with, else the best on average.

    The variance of a gain seen once is its true variance plus v_c + v_r, the mean variances within (request, model); of a mean of k
    gradings v/k (one-way analysis of variance). Intervals: jackknife over buckets of near-duplicate groups. Raises NeedsError
    when nothing was graded twice and no judge was asked in both orders.

    >>> ids = [f"q{i}" for i in range(40)]
    >>> first = pd.DataFrame({"request_id": ids, "model": "m", "quality": 1.0, "grader": "exact v1"})
    >>> second = first.assign(quality=[0.0] * 4 + [1.0] * 36)
    >>> items = pd.DataFrame({"request_id": ids})
    >>> print(noise(Labels.of(items, first), Labels.of(items, second)).differ.value)
    0.1
    """
    twice = _twice(labels, again)
    home = _home(labels, reference)
    swaps = orders(labels)
    if not len(twice) and swaps[0] is None:
        raise NeedsError(
            "labels in which nothing was graded twice",
            "some requests with repeats, or a second grading",
            "answer and grade about 200 requests a second time",
        )
    own = json.dumps({"reference": True})
    counted = twice[twice["validators"] != own]
    apart = ((counted["a"] - counted["b"]).abs() >= FLIP).to_numpy(float)
    flips = shares(counted["bucket"].to_numpy(), counted["weight"].to_numpy(float), np.column_stack([apart, np.ones(len(apart))]))
    gain, room = _gains(twice, home), _headroom(twice, home)
    names = {str(g) for g in labels.outcomes["grader"].unique()}
    return Noise("again" if again is not None else "repeats", home.name, flips, gain, room, *swaps, grader=", ".join(sorted(names)))


@dataclass(frozen=True)
class _Home:
    """The reference: its name, and request id → its model."""

    name: str
    model: pd.Series


def _home(labels: Labels, reference: str | None) -> _Home:
    against = reference or labels.meta.get("against")
    ids = labels.items["request_id"]
    if against == LOGGED:
        own = labels.outcomes[labels.outcomes["validators"] == json.dumps({"reference": True})].drop_duplicates("request_id")
        return _Home("the log's model", own.set_index("request_id")["model"])
    if against is None:
        against = str(labels.outcomes.groupby("model")["quality"].mean().idxmax())
    if against not in labels.models:
        raise InputError(f"reference {against!r}", f"one of {', '.join(labels.models)}", did_you_mean(against, labels.models))
    return _Home(against, pd.Series(against, index=ids))


def _twice(labels: Labels, again: Labels | None) -> pd.DataFrame:
    """Return two gradings ``a`` and ``b`` of everything graded twice, with the request's bucket and weight."""
    plain = labels.outcomes[labels.outcomes["prompt_variant"] == ""]
    names = ["request_id", "model", "repeat"]
    if again is not None:
        other = again.outcomes[again.outcomes["prompt_variant"] == ""]
        pairs = plain.merge(other[[*names, "quality"]], on=names, suffixes=("", "_b"))
        pairs = pairs.sort_values("repeat", kind="stable").drop_duplicates(["request_id", "model"])
    else:
        ranked = plain.sort_values("repeat", kind="stable").assign(turn=lambda f: f.groupby(["request_id", "model"]).cumcount())
        first, second = (ranked[ranked["turn"] == t] for t in (0, 1))
        pairs = first.merge(second[["request_id", "model", "quality"]], on=["request_id", "model"], suffixes=("", "_b"))
    pairs = pairs.rename(columns={"quality": "a", "quality_b": "b"})
    return pairs.merge(_buckets(labels), on="request_id")[["request_id", "model", "a", "b", "validators", "bucket", "weight"]]


def _buckets(labels: Labels) -> pd.DataFrame:
    items = labels.items
    unit = items["group"].fillna(items["session_id"]).fillna(items["request_id"]).astype(str)
    bucket = buckets(unit)
    return pd.DataFrame({"request_id": items["request_id"], "bucket": bucket, "weight": items["weight"]})


def shares(bucket: NDArray[Any], weight: F64, parts: F64, statistic: Callable[[F64], F64] | None = None) -> Estimate | None:
    """Return a share, a statistic of the weighted sums of ``parts`` (n, k), by default first / second; None without rows.

    What lies outside [0, 1] by chance is put to its end. A share that is 0 or 1 in every bucket gets the exact binomial bound
    (Clopper and Pearson 1934) at the effective number of rows, since no variance shows there.

    >>> shares(np.arange(40), np.ones(40), np.column_stack([np.arange(40) % 2, np.ones(40)])).value
    0.5
    """
    if not len(bucket):
        return None
    sums = np.column_stack([np.bincount(bucket, weight * p, BUCKETS) for p in parts.T])
    found = jackknife(sums, statistic or (lambda s: s[..., 0] / s[..., 1]), np.bincount(bucket, weight, BUCKETS))
    if np.isnan(found.value):
        return None
    value, low, high = (float(np.clip(x, 0, 1)) for x in (found.value, found.low, found.high))
    least, most = (None, None) if np.isnan(low) else (low, high)
    if statistic is None and low == high and value in (0.0, 1.0):
        bound = 1 - 0.025 ** (1 / effective_clusters(weight))
        least, most = (0.0, bound) if value == 0 else (1 - bound, 1.0)
    return Estimate(value, least, most, n=len(bucket), source="jackknife over buckets of near-duplicate groups")


def _gains(twice: pd.DataFrame, home: _Home) -> Estimate | None:
    """Return the share of noise in the variance of gains, summed over the candidates."""
    own = twice[twice["model"] == twice["request_id"].map(home.model)]
    both = twice[twice["model"] != twice["request_id"].map(home.model)].merge(
        own[["request_id", "a", "b"]], on="request_id", suffixes=("", "_r")
    )
    if not len(both):
        return None
    gain = (both["a"] + both["b"] - both["a_r"] - both["b_r"]).to_numpy(float) / 2
    noisy = ((both["a"] - both["b"]) ** 2 + (both["a_r"] - both["b_r"]) ** 2).to_numpy(float) / 2
    columns = np.column_stack([np.ones(len(both)), gain, gain**2, noisy])
    models, code = np.unique(both["model"].to_numpy(str), return_inverse=True)
    parts = np.column_stack([np.where((code == m)[:, None], columns, 0.0) for m in range(len(models))])
    return shares(both["bucket"].to_numpy(), both["weight"].to_numpy(float), parts, lambda s: _noise_share(s.reshape(*s.shape[:-1], -1, 4)))


def _noise_share(sums: F64) -> F64:
    """Return noise / (true variance + noise) from sums of (1, mean gain, its square, noise of one grading), shape (…, candidates, 4)."""
    filled = np.maximum(sums[..., 0], 1e-300)
    mean, square, noisy = (sums[..., k] / filled for k in (1, 2, 3))
    total = (square - mean**2 + noisy / 2) * (sums[..., 0] > 0)
    whole: F64 = total.sum(-1)
    share: F64 = np.where(whole > 0, (noisy * (sums[..., 0] > 0)).sum(-1) / np.where(whole > 0, whole, 1), np.nan)
    return share


def _headroom(twice: pd.DataFrame, home: _Home) -> Estimate | None:
    """Return the share of mean(best − reference) that the winners of one grading do not have in the other."""
    first, second = (twice.pivot(index="request_id", columns="model", values=n) for n in ("a", "b"))
    whole = first.notna().all(axis=1) & first.index.isin(home.model.index)
    if first.shape[1] < 2 or not whole.any():
        return None
    first, second = first[whole], second[whole]
    code = first.columns.get_indexer(pd.Index(home.model.reindex(first.index)))
    a, b = first.to_numpy(float), second.to_numpy(float)
    at = np.arange(len(a))
    apparent = (a.max(1) - a[at, code] + b.max(1) - b[at, code]) / 2
    real = (_carried(a, b, code) + _carried(b, a, code)) / 2
    rows = twice.drop_duplicates("request_id").set_index("request_id").loc[first.index]
    parts = np.column_stack([apparent - real, apparent])
    if not apparent.sum() > 0:
        return None
    return shares(rows["bucket"].to_numpy(), rows["weight"].to_numpy(float), parts)


def _carried(chosen: F64, read: F64, code: NDArray[Any]) -> F64:
    """Return the gain in ``read`` of the winners in ``chosen``: nothing where the reference is among them, else their mean."""
    at = np.arange(len(chosen))
    best = chosen == chosen.max(axis=1, keepdims=True)
    mean = (best * read).sum(1) / best.sum(1)
    return np.where(best[at, code], 0.0, mean - read[at, code])


def orders(labels: Labels) -> tuple[Estimate | None, Estimate | None]:
    """Return how often a judge's two orders disagree, and which share of its decided verdicts the first shown won; None without."""
    rows = labels.outcomes[labels.outcomes["validators"].str.contains('"second"', na=False)].merge(_buckets(labels), on="request_id")
    checks = [json.loads(v) for v in rows["validators"]]
    both = np.array([isinstance(c.get("first"), float) and isinstance(c.get("second"), float) for c in checks], bool)
    rows, checks = rows[both], [c for c, fine in zip(checks, both, strict=True) if fine]
    first, second = (np.array([c[n] for c in checks], float) for n in ("first", "second"))
    bucket, weight = rows["bucket"].to_numpy(), rows["weight"].to_numpy(float)
    disagree = shares(bucket, weight, np.column_stack([first != second, np.ones(len(first))]))
    decided = (first != TIE).astype(float) + (second != TIE)
    won = (first == 1).astype(float) + (second == 0)
    return disagree, shares(bucket, weight, np.column_stack([won, decided])) if decided.sum() else None
