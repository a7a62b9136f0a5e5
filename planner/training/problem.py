"""A labelled routing problem: checked labels as arrays, ready to fit and to judge.

In: Labels, the models in play, and what an answer costs. Out: requests, the quality and cost of every labelled answer, units,
and each candidate's rates and capabilities; or one sentence on why there is nothing to learn. Knows nothing of features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

from planner.errors import InputError, NeedsError, did_you_mean
from planner.labels import Labels
from planner.router import Capability, Costs, Requests
from planner.text.tokens import count_tokens
from planner.training.split import split, units

__all__ = ["MIN_UNITS", "Problem", "observed_capabilities", "pose"]

#: Fewer different requests than this cannot be split into fitting and judging.
MIN_UNITS = 50


@dataclass(frozen=True, eq=False)
class Problem:
    """``n`` labelled requests and ``K`` candidates.

    Parameters
    ----------
    requests: what the router reads.
    models: the candidates, sorted; ``reference`` is one of them.
    quality: (n, K) in [0, 1], NaN where unlabelled.
    cost_usd: (n, K) [USD]: as labelled where the labels say so, else ``costs`` at the request's tokens.
    weight: (n,) requests of the population each row stands for.
    unit: (n,) names of what is never split.
    holdout: (n,) rows that only judge.
    """

    requests: Requests
    models: tuple[str, ...]
    reference: str
    quality: NDArray[np.float64]
    cost_usd: NDArray[np.float64]
    costs: Costs
    capabilities: tuple[Capability, ...]
    weight: NDArray[np.float64]
    unit: NDArray[np.str_]
    holdout: NDArray[np.bool_]

    @property
    def reference_code(self) -> int:
        """The reference's column."""
        return self.models.index(self.reference)

    @property
    def gain(self) -> NDArray[np.float64]:
        """Quality over the reference's, (n, K); NaN where either is unlabelled."""
        return self.quality - self.quality[:, [self.reference_code]]


def pose(
    labels: Labels,
    *,
    reference: str | None = None,
    candidates: Sequence[str] | None = None,
    book: Any = None,
    at: str | date | None = None,
    cost: Mapping[str, float] | None = None,
    capabilities: Mapping[str, Capability] | None = None,
    expected_output: Mapping[str, float] | None = None,
    unit: str = "session",
    seed: int = 0,
) -> Problem:
    """Check the labels and bring them to arrays; see :func:`planner.training.train` for the parameters."""
    models = _models(labels, candidates, reference)
    quality = labels.quality(models)
    items = labels.items
    requests = Requests.of(items["messages"].tolist(), app=items["app"].tolist(), text_state=items["text_state"].tolist(), unit=unit)
    keys = units(items, [f"{s}\n{u}".strip() for s, u in zip(requests.system, requests.user, strict=True)])
    held = split(keys, seed)
    _check(quality, keys, held, models)
    weight = items["weight"].to_numpy(float)
    home = reference or models[int(np.nanargmax(_means(quality[~held], weight[~held])))]
    cost_usd, costs = _costs(labels, models, requests, book, at, cost, expected_output)
    known = observed_capabilities(labels, models, requests) if capabilities is None else capabilities
    return Problem(
        requests, models, home, quality, cost_usd, costs, tuple(known.get(m, Capability()) for m in models), weight, keys, held
    )


def _models(labels: Labels, candidates: Sequence[str] | None, reference: str | None) -> tuple[str, ...]:
    wanted = set(labels.models if candidates is None else candidates) | ({reference} if reference else set())
    for name in sorted(wanted - set(labels.models)):
        raise InputError(f"model {name!r} without labels", f"models among {', '.join(labels.models)}", did_you_mean(name, labels.models))
    if len(wanted) < 2:
        raise NeedsError(
            f"labels for {len(wanted)} model ({', '.join(sorted(wanted))})",
            "at least two, since a router chooses",
            "let another candidate answer the same requests: planner.sample_labels says which and at what cost",
        )
    return tuple(sorted(wanted))


def _means(quality: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean quality of each model over the rows that all models answered."""
    whole = ~np.isnan(quality).any(1)
    return np.average(quality[whole], axis=0, weights=weight[whole]) if whole.any() else np.nanmean(quality, axis=0)


def _check(quality: NDArray[np.float64], keys: NDArray[np.str_], held: NDArray[np.bool_], models: Sequence[str]) -> None:
    """Refuse what nothing can be learned from."""
    whole = ~np.isnan(quality).any(1)
    different, both = len(np.unique(keys)), len(np.unique(keys[whole]))
    if different == 1 and len(keys) > 1:
        raise NeedsError(
            f"{len(keys)} labelled requests that are all one session or duplicates of each other",
            f"at least {MIN_UNITS} different ones",
            "label a sample of the log: planner.sample_labels",
        )
    if both < MIN_UNITS or not held[whole].any() or held[whole].all():
        raise NeedsError(
            f"{both} different requests that all of {', '.join(models)} answered",
            f"at least {MIN_UNITS}: some train the router and others judge it",
            "label more requests, or name fewer candidates",
        )
    spread = quality[whole] - quality[whole][:, :1]
    if not spread.any():
        raise NeedsError(
            f"the same quality for all of {', '.join(models)} on every one of {int(whole.sum())} requests",
            "some request on which they differ",
            "use the cheapest model, or grade more finely",
        )


def _costs(
    labels: Labels,
    models: tuple[str, ...],
    requests: Requests,
    book: Any,
    at: str | date | None,
    stated: Mapping[str, float] | None,
    expected_output: Mapping[str, float] | None,
) -> tuple[NDArray[np.float64], Costs]:
    """Return the cost of every answer and the rates the router decides with: stated, else the labels' own, else the book's."""
    if stated is not None:
        costs = _stated(models, stated)
        return costs.usd(requests.input_tokens), costs
    paid = _pivot(labels, "cost_usd", models)
    if not np.isnan(paid).all(0).any():
        costs = _fitted(paid, requests.input_tokens)
        return np.where(np.isnan(paid), costs.usd(requests.input_tokens), paid), costs
    if book is None:
        raise NeedsError(
            f"no cost of an answer for {', '.join(m for m, none in zip(models, np.isnan(paid).all(0), strict=True) if none)}",
            "prices, costs in the labels, or a stated ranking",
            f"pass book=PriceBook..., or --cost such as {models[0]}=1,{models[1]}=20 (only the ratio matters then)",
        )
    costs = _quoted(labels, models, book, at, expected_output)
    return costs.usd(requests.input_tokens), costs


def _stated(models: tuple[str, ...], stated: Mapping[str, float]) -> Costs:
    for model in models:
        if not (model in stated and np.isfinite(stated[model]) and stated[model] >= 0):
            raise InputError(f"cost {stated.get(model)!r} for {model!r}", "a number of at least 0 for each candidate")
    none = np.zeros(len(models))
    return Costs(none, none, none, np.array([float(stated[m]) for m in models]), basis="stated per request; a ranking, not dollars")


def _pivot(labels: Labels, column: str, models: tuple[str, ...]) -> NDArray[np.float64]:
    plain = labels.outcomes[labels.outcomes["prompt_variant"] == ""]
    table = plain.pivot_table(index="request_id", columns="model", values=column, aggfunc="mean", sort=False)
    return table.reindex(index=labels.items["request_id"], columns=list(models)).to_numpy(float)


def _fitted(paid: NDArray[np.float64], tokens: NDArray[np.int64]) -> Costs:
    """Cost of an answer ≈ fee + rate · input tokens, neither below 0."""
    rates = np.empty((paid.shape[1], 2))
    for k, column in enumerate(paid.T):
        known = ~np.isnan(column)
        scale = max(float(np.abs(column[known]).max()), 1e-12)
        rates[k] = nnls(np.column_stack([np.ones(known.sum()), tokens[known] / 1e6]), column[known] / scale)[0] * scale
    none = np.zeros(len(rates))
    return Costs(rates[:, 1], none, none, rates[:, 0], basis="fitted to the costs in the labels")


def _quoted(labels: Labels, models: tuple[str, ...], book: Any, at: Any, expected_output: Mapping[str, float] | None) -> Costs:
    quotes = [book.quote(m, at=at) for m in models]
    output = _output_tokens(labels, models, expected_output)
    rates = [np.array([float(getattr(q, side)) for q in quotes]) for side in ("input_usd_per_mtok", "output_usd_per_mtok")]
    return Costs(rates[0], rates[1], output, np.zeros(len(models)), basis=f"{book}")


def _output_tokens(labels: Labels, models: tuple[str, ...], expected: Mapping[str, float] | None) -> NDArray[np.float64]:
    """Return the mean answer length of each model [tokens]: given, else labelled, else counted in the labelled answers."""
    found = []
    for model in models:
        rows = labels.outcomes[labels.outcomes["model"] == model]
        logged = rows["output_tokens"] + rows["reasoning_tokens"].fillna(0)
        answers = rows["response"].dropna()
        if expected is not None and model in expected:
            found.append(float(expected[model]))
        elif logged.notna().any():
            found.append(float(logged.mean()))
        elif len(answers):
            found.append(float(count_tokens(answers).mean()))
        else:
            raise NeedsError(
                f"no answer lengths for {model!r}",
                "output tokens or answers in the labels",
                f"pass expected_output={{{model!r}: tokens}}",
            )
    return np.array(found)


def observed_capabilities(labels: Labels, models: Sequence[str], requests: Requests) -> dict[str, Capability]:
    """Return what the labels show each model to have done: inputs up to the longest it answered, plain text, no tools."""
    graded = ~np.isnan(labels.quality(tuple(models)))
    day = datetime.now(UTC).date().isoformat()
    return {
        m: Capability(max_input_tokens=int(requests.total_tokens[graded[:, k]].max(initial=0)), source=f"observed in the labels, {day}")
        for k, m in enumerate(models)
    }
