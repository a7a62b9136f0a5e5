"""Whether to use the learned router, a simple rule or one model, or to label more first.

In: labelled rows that neither trained nor calibrated anything, every method's scores on them, the routers at their own τ, and the
fit rows. Out: a Verdict: one of four kinds, the comparisons behind it, and what to do, in words. Knows nothing of how a router
was fitted or certified.

The learned router must beat every simpler method at equal cost: each rule that has a τ, and all mixtures of constant models, a
cost-matched shuffle of its own decisions among them, since each of these lies below some coin between two of the models. It is an
intersection–union test (Berger, *Technometrics* 24, 1982): all must be beaten, so each is tested at the full 2.5 %.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError
from planner.router import AlwaysRule, Router, Scores
from planner.training.equal_cost import MATERIAL, Mix, coins, compare, curve_mix, spend
from planner.training.judge import Judged, onehot

__all__ = ["KINDS", "TODAY", "Verdict", "verdict"]

F64 = NDArray[np.float64]
#: What a verdict can be.
KINDS = ("learned router", "simple rule", "constant model", "not enough labels")
#: The method that changes nothing: each app's model of today.
TODAY = "today"


@dataclass(frozen=True, eq=False)
class Verdict:
    """What to use.

    Parameters
    ----------
    kind: one of KINDS.
    method: what to use now, whatever the kind: ``learned``, the name of a simple rule, a model, or ``today``.
    table: one line a comparison at equal cost, each method's closest first: ``method, vs, diff, low, high, p_value,
        labels_needed``, see :func:`planner.training.equal_cost.compare`.
    more_labels: judging labels that would tell whether the learned router is worth it; 0 where that is told.
    text: the decision in words.
    """

    kind: str
    method: str
    table: pd.DataFrame = field(repr=False)
    more_labels: int
    text: str

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.round(4).to_html(index=False)}"


@dataclass(frozen=True, eq=False)
class _Field:
    """The methods on the rows that judge: shares (n, K) of today's models, of each constant, the learned router and each rule."""

    rows: Judged
    today: F64
    constants: Mapping[str, F64]
    learned: F64
    rules: Mapping[str, F64]

    def saving(self, share: F64) -> float:
        """Return the share of today's spend that is saved."""
        now = spend(self.rows, self.today)
        return 1 - spend(self.rows, share) / now if now > 0 else 0.0

    def difference(self, share: F64) -> tuple[float, float, float]:
        """Return the difference in quality to today's models, with its lower and upper one-sided bound."""
        line = compare("", share, [Mix(TODAY, self.today, self.today)], self.rows).iloc[0]
        return float(line["diff"]), float(line["low"]), float(line["high"])

    def of_use(self, floor: float, share: F64) -> bool:
        """Say whether it saves, and is not shown to lose more than ``floor``; that it loses no more was certified elsewhere."""
        return self.saving(share) > 0 and self.difference(share)[2] >= -floor


def verdict(
    rows: Judged,
    scores: Mapping[str, Scores],
    routers: Mapping[str, Router],
    fit_rows: Judged,
    *,
    floor: float,
    hoped_tau: float | None = None,
    usd_per_label: float | None = None,
) -> Verdict:
    """Decide between the learned router, the simple rules and the constant models.

    Parameters
    ----------
    rows: labelled rows that neither trained nor calibrated; scores: of every router on them; routers: ``learned`` and the rules,
        each at the τ at which it would be used: certified to keep ``floor``, or −∞.
    fit_rows: the rows that trained: they choose the constant model that ``rows`` then judge.
    floor: quality one is willing to lose against today's models.
    hoped_tau: where nothing was certified, so that the learned router stands at −∞: the τ that more labels might certify.
    usd_per_label: what one more judging label costs [USD], with those that fit and certify beside it; without it no price is said.

    Raises InputError when there is no ``learned`` router, or one without scores.
    """
    if "learned" not in routers or set(routers) - set(scores):
        raise InputError(f"routers {', '.join(routers)}, scores of {', '.join(scores)}", "'learned' among them, and scores of each")
    certified = bool(routers["learned"].tau != -np.inf)
    field = _field(rows, scores, routers, hoped_tau)
    learned = compare("learned", field.learned, _simpler(field, scores, routers), rows)
    own = {n: compare(n, share, coins(field.constants, spend(rows, share), rows), rows) for n, share in field.rules.items()}
    table = pd.concat([learned, *own.values()], ignore_index=True)
    if certified and _beats(learned) and field.of_use(floor, field.learned):
        return Verdict(KINDS[0], "learned", table, 0, _use_learned(learned.iloc[0], field.saving(field.learned), len(rows.weight)))
    shown = [n for n, share in field.rules.items() if _beats(own[n]) and field.of_use(floor, share)]
    now = max(shown, key=lambda n: field.saving(field.rules[n])) if shown else _constant(field, fit_rows, floor)
    more = _more(learned, len(rows.weight)) if field.of_use(floor, field.learned) and _may_be_worth(learned) else 0
    kind = KINDS[1] if shown else KINDS[3] if more else KINDS[2]
    use, why = _use(now, field, floor, bool(shown)), _why_not(learned.iloc[0], certified, len(rows.weight), more, usd_per_label)
    text = f"{why} Until then, {use[0].lower()}{use[1:]}" if kind == KINDS[3] else f"{use} {why}"
    return Verdict(kind, now, table, more, text)


def _field(rows: Judged, scores: Mapping[str, Scores], routers: Mapping[str, Router], hoped_tau: float | None) -> _Field:
    router, own = routers["learned"], scores["learned"]
    k = len(router.candidates)
    tau = router.tau if hoped_tau is None or router.tau != -np.inf else hoped_tau
    today = onehot(own.home, k)
    free = next((scores[n] for n, r in routers.items() if isinstance(r.scorer, AlwaysRule)), own)  # limited to no app
    constants = {m: onehot(np.where(free.feasible[:, c] & (free.abstain == 0), c, own.home), k) for c, m in enumerate(router.candidates)}
    rules = {n: r for n, r in routers.items() if n != "learned" and not isinstance(r.scorer, AlwaysRule)}
    picked = {n: onehot(r.choose(scores[n])[0], k) for n, r in rules.items()}
    if not any(np.array_equal(today, share) for share in constants.values()):
        constants[TODAY] = today
    return _Field(rows, today, constants, onehot(router.choose(own, tau)[0], k), picked)


def _simpler(field: _Field, scores: Mapping[str, Scores], routers: Mapping[str, Router]) -> list[Mix]:
    """Return what the learned router must beat, each at its cost."""
    usd = spend(field.rows, field.learned)
    return [
        *coins(field.constants, usd, field.rows),
        *(curve_mix(name, routers[name], scores[name], usd, field.rows) for name in field.rules),
    ]


def _beats(comparison: pd.DataFrame) -> bool:
    return bool((comparison["low"] > 0).all())


def _may_be_worth(learned: pd.DataFrame) -> bool:
    """Say whether the router looks better than everything simpler, and may be so by enough to matter."""
    return bool((learned["diff"] > 0).all() and (learned["high"] >= MATERIAL).all())


def _more(learned: pd.DataFrame, judged: int) -> int:
    """Return the judging labels to add, in hundreds; at least one hundred."""
    open_ = learned.loc[learned["low"] <= 0, "labels_needed"].replace(np.inf, np.nan).max()
    return max(int(np.nan_to_num(open_)) - judged, 0) // 100 * 100 + 100


def _constant(field: _Field, fit_rows: Judged, floor: float) -> str:
    """Return the cheapest model that keeps the floor on the fit rows, if it then does on the rows that judge; else ``today``."""
    k = fit_rows.quality.shape[1]
    home = onehot(fit_rows.reference, k)
    costs = {m: spend(fit_rows, np.tile(np.eye(k)[c], (len(home), 1))) for c, m in enumerate(n for n in field.constants if n != TODAY)}
    for code, model in sorted(enumerate(costs), key=lambda c: costs[c[1]]):
        everywhere = np.tile(np.eye(k)[code], (len(home), 1))
        if costs[model] < spend(fit_rows, home) and compare("", everywhere, [Mix("", home, home)], fit_rows)["low"].iloc[0] >= -floor:
            return model if field.difference(field.constants[model])[1] >= -floor else TODAY
    return TODAY


def _use_learned(closest: pd.Series, saving: float, judged: int) -> str:
    return (
        f"Use the learned router: on {judged:,} labelled requests that neither trained nor calibrated it, it costs {saving:.1%} less than "
        f"today's models and beats every simpler method at equal cost; the closest, {closest['vs']}, by {closest['diff']:+.4f} in quality, "
        f"at least {closest['low']:+.4f} (measured; one-sided 97.5 % bound by unit)."
    )


def _use(method: str, field: _Field, floor: float, rule: bool) -> str:
    """Return what to use now."""
    if method == TODAY:
        return f"Keep today's models: no cheaper single model is shown to lose at most {floor:g}, and no simple rule to beat a coin."
    share = field.rules[method] if rule else field.constants[method]
    diff, low, high = field.difference(share)
    seen = f"{field.saving(share):.1%} less than today at a quality difference of {diff:+.4f} [{low:+.4f}, {high:+.4f}]"
    seen = f"{seen} (measured; 95 % by unit)"
    why = f"the simple rule {method!r}: better than any mixture of single models at its cost, {seen}" if rule else f"{method} alone: {seen}"
    return f"Use {why}."


def _why_not(closest: pd.Series, certified: bool, judged: int, more: int, usd_per_label: float | None) -> str:
    """Return why the learned router is not the answer, and what would settle it."""
    nothing = "" if certified else "No threshold of the learned router is certified, so it would change nothing. "
    seen = f"at equal cost {closest['diff']:+.4f} [{closest['low']:+.4f}, {closest['high']:+.4f}] against {closest['vs']}"
    where = f"on {judged:,} labelled requests that neither trained nor calibrated it (measured; 95 % by unit)"
    if not more:
        return f"{nothing}The learned router is not shown to be better: {seen}, {where}."
    price = "" if usd_per_label is None else f" (about ${_dollars(more * usd_per_label)}, with those that fit and certify beside them)"
    return (
        f"{nothing}Not enough labels to tell whether the learned router is worth it: {seen}, {where}. "
        f"About {more:,} more judging labels{price} would show an advantage of {max(closest['diff'], MATERIAL):.4f} in four draws of five."
    )


def _dollars(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 10 else f"{amount:.2f}"
