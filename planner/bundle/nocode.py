"""The router that LiteLLM can run without any code of ours: success counts by kind of request, fitted on labels, with its loss.

In: a training, the router that is exported, and the labelled conversations. Out: the settings of LiteLLM's ``heuristic_v2`` router, and
what it loses beside the exported router on the rows that trained neither, decided by LiteLLM's own code. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.bundle.nocode_litellm import filed, probabilities, routed
from planner.router import Router
from planner.stats import BUCKETS, jackknife
from planner.text.messages import conversation, parse
from planner.training import Training
from planner.training.judge import Judged, judge, onehot
from planner.training.methods import judged_rows

__all__ = ["AUTO", "TIERS", "NoCode", "auto_router", "fit_nocode", "ladder"]

F64 = NDArray[np.float64]
#: Tiers of LiteLLM's complexity router, easiest first, and the model group that its routers answer to.
TIERS, AUTO = ("SIMPLE", "MEDIUM", "COMPLEX", "REASONING"), "planner-auto"
#: Thresholds that are tried.
_TRIED = 40
#: What LiteLLM's router would otherwise change of a request beside its model, or decide without the artifact.
_PLAIN = {
    "max_tokens_from_tier_model": False,
    "context_compaction": False,
    "route_housekeeping_to_cheapest_tier": False,
    "deployment_affinity": False,
    "escalation_keywords": [],
}


@dataclass(frozen=True)
class NoCode:
    """``tiers``: model of each of TIERS; ``entry``: of LiteLLM's ``model_list``; ``evaluation``: JSON values, see below.

    ``evaluation``: rows, units, floor, and for ``no_code``, ``planner`` and ``reference`` quality, usd_per_1k and the quality difference
    to the models of today; ``beside_planner``: quality_difference and usd_per_1k_difference [value, low, high], 95 %, no code less planner.
    """

    tiers: Mapping[str, str]
    entry: Mapping[str, Any] = field(repr=False)
    evaluation: Mapping[str, Any]

    @property
    def text(self) -> str:
        """What it is worth, in words."""
        beside = self.evaluation["beside_planner"]
        return (
            f"On {self.evaluation['rows']:,} labelled requests that trained neither, LiteLLM's own code decided: beside planner's router a "
            f"quality difference of {_span(beside['quality_difference'])} and a cost difference of "
            f"{_span(beside['usd_per_1k_difference'])} USD per 1,000 requests (measured; 95 % jackknife by unit). It is not certified."
        )


def _span(values: Sequence[float | None]) -> str:
    value, low, high = values
    return f"{value:+.4f}" + ("" if low is None or high is None else f" [{low:+.4f}, {high:+.4f}]")


def auto_router(tiers: Sequence[str], default: str, **config: Any) -> dict[str, Any]:
    """Return the entry of ``model_list`` of a complexity router over four ``tiers``, easiest first; it changes nothing but the model."""
    settings = {"tiers": dict(zip(TIERS, tiers, strict=True)), **config, **_PLAIN}
    params = {"model": "auto_router/complexity_router", "complexity_router_config": settings, "complexity_router_default_model": default}
    return {"model_name": AUTO, "litellm_params": params}


def fit_nocode(training: Training, router: Router, messages: Sequence[Any]) -> NoCode:
    """Fit LiteLLM's success counts on the rows that fit, choose its threshold on those that certify, and judge it on the rest.

    The threshold is the cheapest that keeps the floor of the training at the 95 % limit; where none does, every tier is the reference.

    Parameters
    ----------
    messages: of each labelled item, in the order of the labels: a list of messages, or its JSON.

    Raises MissingExtraError without LiteLLM.
    """
    problem = training.problem
    asks = [conversation(m).last for m in messages]
    parts = {part: _part(training, router, asks, part) for part in ("fit", "calibrate")}
    rows, asked = parts["fit"]
    codes = ladder(rows)
    artifact = _artifact(rows, asked, codes)
    threshold = _threshold(*parts["calibrate"], codes, artifact, training)
    home = router.candidates.index(router.reference)
    codes = [home] * len(TIERS) if threshold is None else codes
    tiers = [router.candidates[c] for c in codes]
    config = {"classifier_type": "heuristic_v2", "heuristic_v2_success_threshold": threshold or 0.0, "heuristic_v2_artifact": artifact}
    entry = auto_router(tiers, router.reference, **config)
    judged, whole = judged_rows(problem, "judge", router)
    at = problem.rows("judge")[whole]
    models = [{"model_name": m, "litellm_params": {"model": f"openai/{m}"}} for m in dict.fromkeys((*tiers, router.reference))]
    sent = routed([*models, entry], AUTO, [parse(messages[i]) for i in at])
    theirs = np.array([router.candidates.index(m) for m in sent], np.int64)
    ours = router.choose(router.scores(problem.requests.take(at), problem.day))[0]
    return NoCode(dict(zip(TIERS, tiers, strict=True)), entry, _evaluation(judged, theirs, ours, router, training.floor))


def _part(training: Training, router: Router, asks: Sequence[str], part: str) -> tuple[Judged, list[str]]:
    """Return the rows of a part that every model answered, and their questions."""
    rows, whole = judged_rows(training.problem, part, router)
    return rows, [asks[i] for i in training.problem.rows(part)[whole]]


def ladder(rows: Judged) -> list[int]:
    """Return the codes of four tiers, cheapest first: models of which each is better than all that are cheaper; the last repeats.

    >>> names = np.array(["a", "b"])
    >>> ladder(Judged(np.array([[1.0, 0.2, 0.9]] * 2), np.array([[9.0, 1.0, 8.0]] * 2), np.ones(2), names, np.zeros(2, np.int64)))
    [1, 2, 0, 0]
    """
    quality, cost = (np.average(values, axis=0, weights=rows.weight) for values in (rows.quality, rows.cost_usd))
    rising: list[int] = []
    for code in np.lexsort((-quality, cost)).tolist():
        if not rising or quality[code] > quality[rising[-1]]:
            rising.append(code)
    kept = [rising[i] for i in np.unique(np.linspace(0, len(rising) - 1, len(TIERS)).round().astype(int))]
    return [kept[min(i, len(kept) - 1)] for i in range(len(TIERS))]


def _artifact(rows: Judged, asks: Sequence[str], codes: Sequence[int]) -> dict[str, Any]:
    """Count successes (quality) of each tier: in all, by request type, and by cohort; weights have mean 1."""
    weight = rows.weight / rows.weight.mean()
    kinds = filed(asks)

    def counts(mine: NDArray[np.bool_], **key: str) -> list[dict[str, Any]]:
        seen = round(float(weight[mine].sum()), 6)
        good = [round(float(weight[mine] @ rows.quality[mine, code]), 6) for code in codes]
        return [{**key, "tier": i + 1, "successes": min(g, seen), "observations": seen} for i, g in enumerate(good)]

    def by(name: str, values: Sequence[str]) -> list[dict[str, Any]]:
        column = np.array(values, object)
        return [line for value in sorted({*values}) for line in counts(column == value, **{name: value})]

    return {
        "schema_version": 1,
        "global_statistics": counts(np.ones(len(asks), bool)),
        "domain_statistics": by("request_type", [kind for kind, _ in kinds]),
        "cohort_statistics": by("cohort", [cohort for _, cohort in kinds]),
        "success_definition": "graded quality in [0, 1], counted in parts",
        "split_method": "units of planner's training: half fit",
    }


def _threshold(rows: Judged, asks: Sequence[str], codes: Sequence[int], artifact: Mapping[str, Any], training: Training) -> float | None:
    """Return the cheapest threshold that keeps the floor on ``rows`` at the 95 % limit; None where none does."""
    expected = probabilities(artifact, asks)
    values = np.unique(expected)
    tried = np.unique(values[np.linspace(0, len(values) - 1, _TRIED).astype(int)].round(6))
    shares = {str(t): onehot(_tier(expected, t, codes), rows.quality.shape[1]) for t in tried.tolist()}
    table = judge(rows, shares, training.problem.models)
    kept = table[table["diff_low"] >= -training.floor]
    return float(str(kept["usd_per_1k"].idxmin())) if len(kept) else None


def _tier(expected: F64, threshold: float, codes: Sequence[int]) -> NDArray[np.int64]:
    """Return each row's model: that of the first tier with so much expected success, else of the last."""
    enough = expected >= threshold
    first = np.where(enough.any(1), enough.argmax(1), len(codes) - 1)
    return np.array(codes, np.int64)[first]


def _evaluation(rows: Judged, theirs: NDArray[np.int64], ours: NDArray[np.int64], router: Router, floor: float) -> dict[str, Any]:
    """Set the two beside each other and beside today's models, as JSON values."""
    chosen = {"no_code": theirs, "planner": ours, "reference": rows.reference}
    table = judge(rows, {name: onehot(codes, len(router.candidates)) for name, codes in chosen.items()}, router.candidates)
    cost = np.take_along_axis(rows.cost_usd, theirs[:, None], 1) - np.take_along_axis(rows.cost_usd, ours[:, None], 1)
    moved = {"quality_difference": rows.quality_of(theirs) - rows.quality_of(ours), "usd_per_1k_difference": 1_000 * cost[:, 0]}
    shown = ("quality", "usd_per_1k", "quality_diff", "diff_low", "diff_high")
    return {
        "rows": len(theirs),
        "units": len(np.unique(rows.unit)),
        "floor": floor,
        "same_model_share": float(np.average(theirs == ours, weights=rows.weight)),
        **{name: {column: _plain(table.loc[name, column]) for column in shown} for name in chosen},
        "beside_planner": {name: _interval(rows, values) for name, values in moved.items()},
    }


def _interval(rows: Judged, values: F64) -> list[float | None]:
    sums = np.column_stack([np.bincount(rows.bucket, rows.weight * x, BUCKETS) for x in (values, np.ones(len(values)))])
    found = jackknife(sums, lambda s: s[..., 0] / s[..., 1], sums[:, 1])
    return [_plain(found.value), _plain(found.low), _plain(found.high)]


def _plain(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None
