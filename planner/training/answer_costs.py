"""What an answer of each candidate costs: the rates a router decides with, and the cost of every labelled answer.

In: labels, and a price book, stated costs or neither. Out: Costs per candidate and USD per labelled answer; or one sentence on
what to pass. Real bills are priced elsewhere, by token bucket and date. Knows nothing of quality.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from planner.errors import InputError, NeedsError
from planner.labels import Labels
from planner.prices import PriceBook
from planner.router import Costs
from planner.text.tokens import count_tokens

__all__ = ["answer_costs"]

F64 = NDArray[np.float64]


def answer_costs(
    labels: Labels,
    models: tuple[str, ...],
    input_tokens: NDArray[np.int64],
    *,
    book: PriceBook | None = None,
    at: date | None = None,
    stated: Mapping[str, float] | None = None,
    expected_output: Mapping[str, float] | None = None,
) -> tuple[F64, Costs]:
    """Return the cost of every answer, (n, K) [USD], and the rates to decide with: stated, else the labels' own, else the book's.

    A labelled cost stands as it is; where one is missing, and wherever labels have none, it is reckoned from the rates.
    NeedsError when nothing says what an answer costs.
    """
    if stated is not None:
        costs = _stated(models, stated)
        return costs.usd(input_tokens), costs
    paid = _pivot(labels, "cost_usd", models)
    unpriced = [models[k] for k in np.flatnonzero(np.isnan(paid).all(0))]
    if not unpriced:
        costs = _fitted(paid, input_tokens)
        return np.where(np.isnan(paid), costs.usd(input_tokens), paid), costs
    if book is None:
        raise NeedsError(
            f"no cost of an answer for {', '.join(unpriced)}",
            "a price book, costs in the labels, or stated costs",
            f"pass book=PriceBook.load(), or cost={{{models[0]!r}: 1, {models[1]!r}: 20, ...}} (--cost {models[0]}=1,{models[1]}=20,...): "
            "only the ratio matters then",
        )
    costs = _quoted(labels, models, book, at, expected_output)
    return costs.usd(input_tokens), costs


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


def _quoted(
    labels: Labels, models: tuple[str, ...], book: PriceBook, at: date | None, expected_output: Mapping[str, float] | None
) -> Costs:
    """Take the book's standard rates of one day; long-context repricing is left to the bill."""
    quotes = [book.quote(m, at=at) for m in models]
    rates = {side: np.array([q.usd_per_mtok.get(side, 0.0) for q in quotes]) for side in ("input_tokens", "output_tokens")}
    fees = np.array([q.usd_per_request for q in quotes])
    output = _output_tokens(labels, models, expected_output)
    return Costs(rates["input_tokens"], rates["output_tokens"], output, fees, basis=f"{book.name}, rates of {at or book.date}")


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
                f"pass expected_output={{{model!r}: TOKENS}} (--expected-output {model}=TOKENS)",
            )
    return np.array(found)
