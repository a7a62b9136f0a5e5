"""Checks before any number: whether this is the experiment that the rollout says it is.

In: the Arms of a log. Out: what was checked, each with a sentence and whether it is an alarm: arms that are not as large as drawn, units
in two arms, requests that something else differs for, fallbacks and explorations. Knows nothing of intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc

from planner.followup.arms import Arms
from planner.followup.verify_contrasts import alike
from planner.followup.verify_sides import Sample
from planner.prices import PriceBook
from planner.prices.identity import identity

__all__ = ["ALARM", "Check", "checks", "costed_alike", "same_unmoved"]

#: A sample-ratio mismatch below this p-value is an alarm (Fabijan et al., *KDD* 2019, use 0.0005 to 0.01), and so is its like elsewhere.
ALARM = 0.001
#: Standard errors that this is.
_FAR = 3.29
#: Share of an arm's requests without a price above which what they cost is not known.
_UNPRICED = 0.01
#: Units to be expected in either arm for the chi-square distribution to hold.
_EXPECTED = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """``name`` was looked at: what was found, in ``words``; with ``alarm`` the comparison does not mean what it should.

    ``count`` is how many units or requests are concerned, ``p_value`` NaN where nothing was tested.
    """

    name: str
    alarm: bool
    words: str
    count: int
    p_value: float = np.nan


def checks(arms: Arms, model: NDArray[np.object_], book: PriceBook | None = None) -> tuple[Check, ...]:
    """Check ``arms``; ``model`` (n,) answered each of its requests, ``book`` knows models by all of their names."""
    explored = arms.routed & (arms.action != arms.decided)
    return (_ratio(arms, explored), _leaks(arms), _fallbacks(arms, model, book or PriceBook.load()), _explored(explored))


def _ratio(arms: Arms, explored: NDArray[np.bool_]) -> Check:
    """Compare how many units each arm has with the chance of being routed that was logged."""
    tested = arms.moved & ~np.isin(arms.app, np.unique(arms.app[explored].astype(str)))
    frame = pd.DataFrame({"app": arms.app, "chance": arms.chance, "unit": arms.unit, "routed": arms.routed})[tested]
    units = frame.groupby(["app", "chance", "unit"], sort=False)["routed"].agg(["min", "max"])
    sure = units.loc[units["min"] == units["max"], "max"].groupby(level=["app", "chance"]).agg(["sum", "size"]).reset_index()
    drawn = sure["size"] * sure["chance"]
    large = np.minimum(drawn, sure["size"] - drawn) >= _EXPECTED
    sure, drawn = sure[large], drawn[large]
    if sure.empty:
        return Check("arm sizes", False, "Too few units, or exploration: the sizes of the arms are not tested.", 0)
    n, routed = int(sure["size"].sum()), int(sure["sum"].sum())
    square = float((np.square(sure["sum"] - drawn) / (drawn * (1 - sure["chance"]))).sum())
    p = float(chdtrc(len(sure), square))
    whose = f"{n:,} {arms.unit_kind}s that routing can move"
    shares = f"{routed / n:.1%} of {whose} were routed, drawn were {float(drawn.sum()) / n:.1%} (p {p:.2g})"
    if p >= ALARM:
        return Check("arm sizes", False, f"Arms are as large as drawn: {shares}.", n, p)
    why = "the log lacks requests of an arm, or sessions are not what was drawn for; what follows may be wrong"
    return Check("arm sizes", True, f"Sample-ratio mismatch: {shares}; {why}.", n, p)


def _leaks(arms: Arms) -> Check:
    """Find units that were routed and kept under the same settings."""
    frame = pd.DataFrame({"unit": arms.unit, "chance": arms.chance, "routed": arms.routed})[arms.moved]
    both = frame.groupby(["unit", "chance"], sort=False)["routed"].nunique() > 1
    count, n = int(both.sum()), len(both)
    if not count:
        return Check("leaks", False, f"No {arms.unit_kind} was in two arms.", 0)
    why = "was the salt changed, or are sessions cut otherwise in the log?"
    return Check("leaks", count > ALARM * n, f"{count:,} of {n:,} {arms.unit_kind}s were both routed and kept: {why}", count)


def _fallbacks(arms: Arms, model: NDArray[np.object_], book: PriceBook) -> Check:
    """Count routed requests that another model answered than they were sent to by their stamp, and name who answered for whom.

    What answers most says nothing of that: in an outage it is the fallback. Only where no price book knows the name that was sent to, as
    that of a deployment, and nothing answered under it, the usual answer is taken for what stands behind it, and said.
    """
    frame = pd.DataFrame({"sent": arms.action, "answered": model})[arms.routed]
    spelled = {name: identity(book, "", name) for name in {*frame["sent"], *frame["answered"]}}
    unknown = {name for name in {*frame["sent"]} - {*frame["answered"]} if not spelled[name][0]}
    frame = frame.apply(lambda names: names.map({name: plain for name, (_, plain) in spelled.items()}))
    guesses = frame[frame["sent"].isin(unknown)].groupby("sent")["answered"]
    usual: dict[str, str] = {sent: str(names.mode().iloc[0]) for sent, names in guesses}
    behind = frame["sent"].map({sent: usual.get(sent, sent) for sent in frame["sent"].unique()})
    other = frame[behind != frame["answered"]].groupby(["sent", "answered"]).size().sort_values(ascending=False, kind="stable")
    guessed = "; ".join(f"{answered} is taken for what stands behind {sent}" for sent, answered in usual.items())
    guess = f" No price book knows where some were sent: {guessed}." if guessed else ""
    if other.empty:
        return Check("fallbacks", False, f"No routed request fell back to another model.{guess}", 0)
    pairs: list[tuple[str, str]] = other.index.tolist()
    who = ", ".join(f"{answered} for {sent} ({n:,})" for (sent, answered), n in zip(pairs[:3], other.tolist(), strict=False))
    count = int(other.sum())
    said = f"{count:,} of {len(frame):,} routed requests ({count / len(frame):.1%}) were answered by another model than they were sent to: "
    return Check("fallbacks", False, f"{said}{who}{' and others' if len(pairs) > 3 else ''}; they count as routed.{guess}", count)


def _explored(explored: NDArray[np.bool_]) -> Check:
    count = int(explored.sum())
    words = f"{count:,} routed requests explored another model than decided; they count as routed."
    return Check("exploration", False, words if count else "No request explored.", count)


def costed_alike(sample: Sample, model: NDArray[np.object_]) -> Check:
    """Say whether requests without a price, ``value`` 1 of ``sample``, are few and as many in both arms; ``model`` (n,) answered them.

    A model without a price is mostly one that requests were moved to. To leave its requests out would choose by what routing did whom to
    compare, and compare the routed that are left with kept ones that would not have been left.
    """
    bare, weight = sample.value > 0, sample.weight
    shares = [float(weight[bare & side].sum() / max(float(weight[side].sum()), 1e-12)) for side in (sample.routed, ~sample.routed)]
    far = alike(sample)
    names = pd.Series(model[bare]).value_counts().index.astype(str).tolist()
    who = f"{', '.join(names[:3])}{' and others' if len(names) > 3 else ''}"
    count = int(bare.sum())
    words = f"{count:,} requests have no price ({shares[0]:.1%} of the routed, {shares[1]:.1%} of the kept)"
    if max(shares) <= _UNPRICED and abs(far) <= _FAR:
        return Check("prices", False, f"{words} and are in no figure of money: {who}.", count)
    fix = f"answered by {who}; give rates with --prices, or see planner audit for what else the log lacks"
    return Check("prices", True, f"{words}, {fix}. What routing saved is not known.", count)


def same_unmoved(sample: Sample) -> Check:
    """Say whether requests that keep their model cost the same in both arms; ``sample`` holds these alone, as if moved."""
    far = alike(sample)
    words = "Requests that keep their model cost the same in both arms, as they must: they are left out of the noise."
    if abs(far) <= _FAR:
        return Check("kept models", False, words, len(sample.value))
    words = (
        f"Requests that keep their model cost otherwise when routed ({far:+.1f} standard errors): something else differs between the arms"
    )
    return Check("kept models", True, f"{words}; all requests are compared.", len(sample.value))
