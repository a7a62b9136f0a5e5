"""How many tokens and milliseconds another model needs for the same request, learned from paired labels.

In: labels in which several models answered the same requests. Out: per ordered pair of models, and by app and reasoning effort where
these have enough pairs, the ratio of sums of input, visible output, reasoning and latency. A pair without labels is absent: the caller
must then assume, and say so. Knows nothing of traffic or money.

An app's ratio is drawn towards the pair's as far as apps differ by chance (empirical Bayes): its sums get a share of the pair's added.
So it stays a ratio of sums, and resampling the sums resamples what was drawn in, too. Answers that a limit cut count for what they
would have been (``outcomes.lengths``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.labels import Labels
from planner.outcomes.hours import between
from planner.outcomes.lengths import fit_lengths, unlimited, was_cut
from planner.schema import TOKEN_BUCKETS
from planner.stats import BUCKETS
from planner.traffic.rows import Coded

__all__ = ["SAMPLED", "Key", "Ratio", "fit_ratios", "levels", "sample_ratios"]

F64 = NDArray[np.float64]
#: (logged model, other model), and an app, and a reasoning effort asked for in it.
Key = tuple[str, ...]
#: Fewer pairs than this say too little: the ratio counts as unknown, or as that of the wider cell.
MIN_PAIRS = 30
_INPUT = list(TOKEN_BUCKETS[:4])
#: What a sample of a pair sums per bucket: input of the other and of the logged model, answers likewise, the other's reasoning.
SAMPLED = ("input_other", "input_logged", "output_other", "output_logged", "reasoning_other")
#: Robust standard deviation over median absolute deviation, of a normal.
_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class Ratio:
    """Factors from one model to another, each None where the labels do not tell.

    ``input`` and ``output`` multiply the logged total input and visible output; ``reasoning`` is the other model's
    reasoning tokens per logged visible output token; ``latency`` multiplies the logged latency; ``pairs`` counts the
    requests behind them; ``spread`` is the standard deviation of the log ratio of two answers to one request.
    """

    input: float | None
    output: float | None
    reasoning: float | None
    latency: float | None
    pairs: int
    spread: float = 0.0


@dataclass(frozen=True, eq=False)
class _Pair:
    """One ordered pair of models: ``parts`` (items, SAMPLED), NaN where unknown, and ``whole``: neither answer was cut."""

    parts: F64
    whole: NDArray[np.bool_]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Say which items both models answered."""
        return np.asarray(np.isfinite(self.parts[:, :4]).all(axis=1))


def levels(source: str, target: str, app: str, effort: str) -> tuple[Key, ...]:
    """Return the keys under which a moved request's ratio may stand, the narrowest first."""
    return (*(((source, target, app, effort),) if effort else ()), (source, target, app), (source, target))


def fit_ratios(labels: Labels, effort: Mapping[str, str] | None = None) -> Mapping[Key, Ratio]:
    """Return the ratio of every ordered pair of labelled models with at least 30 common requests, and of its apps and efforts.

    A ratio of sums, not a mean of ratios: it is what the bill is made of, and short answers cannot dominate it. ``effort`` is the
    reasoning effort that requests asked for, by request id.
    """
    return {key: ratio for key, ratio, _ in _cells(labels, effort)}


def sample_ratios(
    labels: Labels, bucket: NDArray[np.int64], effort: Mapping[str, str] | None = None
) -> tuple[Mapping[Key, Ratio], Mapping[Key, NDArray[np.int64]]]:
    """Return the ratios, and the sums behind them per hash bucket, int64 (buckets, SAMPLED), so that labels can be resampled.

    ``bucket`` (items,) is the bucket of each labelled request's user, else session, else itself.
    """
    ratios, samples = {}, {}
    for key, ratio, parts in _cells(labels, effort):
        ratios[key] = ratio
        samples[key] = np.rint(np.column_stack([np.bincount(bucket, c, BUCKETS) for c in parts.T])).astype(np.int64)
    return ratios, samples


def _cells(labels: Labels, effort: Mapping[str, str] | None) -> Iterator[tuple[Key, Ratio, F64]]:
    """Yield every cell with its ratio and what each item adds to its sums, (items, SAMPLED)."""
    measures = _measures(labels)
    latency = measures["latency"]
    app = labels.items["app"].to_numpy(object).astype(str)
    asked = np.array([(effort or {}).get(r, "") for r in labels.items["request_id"]], str)
    for a in labels.models:
        for b in labels.models:
            pair = _pair(measures, a, b)
            if a == b or pair.known.sum() < MIN_PAIRS:
                continue
            parts = np.where(pair.known[:, None], np.nan_to_num(pair.parts), 0.0)
            ratio = replace(_ratio(pair, latency[a].to_numpy(float), latency[b].to_numpy(float)), spread=_spread(pair, pair.known))
            yield (a, b), ratio, parts
            for name, where, drawn, sums in _within(pair, app, pair.known, parts):
                own = _of_sums(ratio, sums, where, pair)
                yield (a, b, name), own, drawn
                for level, inside, deeper, below in _within(pair, asked, where, drawn):
                    if level:
                        yield (a, b, name, level), _of_sums(own, below, inside, pair), deeper


def _within(
    pair: _Pair, names: NDArray[np.str_], where: NDArray[np.bool_], wider: F64
) -> Iterator[tuple[str, NDArray[np.bool_], F64, F64]]:
    """Yield the cells by ``names`` inside ``where`` that differ from what is ``wider`` by more than chance, drawn towards it.

    Each with its items, and what every item adds to its sums: its own parts and a share of the wider cell's. Reasoning stays the
    cell's own: an app that does not ask for it has none, whatever others do.
    """
    inside = [(str(n), where & (names == n)) for n in np.unique(names[where])]
    inside = [(n, own) for n, own in inside if own.sum() >= MIN_PAIRS]
    above = wider.sum(axis=0)
    shares = [_shares(pair, [own for _, own in inside], top, bottom, above[bottom]) for top, bottom in ((0, 1), (2, 3))]
    for (name, own), of_input, of_output in zip(inside, *shares, strict=True):
        if of_input[0] or of_output[0]:
            mine = np.where(own[:, None], np.nan_to_num(pair.parts), 0.0)
            both = np.array([of_input] * 2 + [of_output] * 3)
            drawn = mine * both[:, 0] + wider * both[:, 1]
            drawn[:, 4] = mine[:, 4] * (drawn[:, 3].sum() / mine[:, 3].sum())
            yield name, own, drawn, drawn.sum(axis=0)


def _shares(pair: _Pair, cells: list[NDArray[np.bool_]], top: int, bottom: int, above: float) -> list[tuple[float, float]]:
    """Return for each cell how much of its own and of the wider cell's sums make its ratio: (1, k), or (0, 1) for the wider one alone.

    With w = between / (between + own variance) of log ratios, k makes (A + k A') / (B + k B') = w A / B + (1 − w) A' / B'.
    """
    logs, variance, below = np.zeros(len(cells)), np.zeros(len(cells)), np.zeros(len(cells))
    for i, own in enumerate(cells):
        a, b = pair.parts[own, top], pair.parts[own, bottom]
        below[i] = b.sum()
        if a.sum() <= 0 or below[i] <= 0:
            return [(0.0, 1.0)] * len(cells)
        ratio = a.sum() / below[i]
        logs[i] = np.log(ratio)
        variance[i] = np.square(a - ratio * b).sum() / a.sum() ** 2 * len(a) / (len(a) - 1)
    spread = between(logs, variance)
    if spread <= 0:
        return [(0.0, 1.0)] * len(cells)
    return [(1.0, float(b * v / spread / above)) for b, v in zip(below, variance, strict=True)]


def _of_sums(wider: Ratio, sums: F64, where: NDArray[np.bool_], pair: _Pair) -> Ratio:
    """Return the ratio of a cell; what the wider one does not know, it does not either."""
    return Ratio(
        None if wider.input is None else float(sums[0] / sums[1]),
        None if wider.output is None else float(sums[2] / sums[3]),
        None if wider.reasoning is None else float(sums[4] / sums[3]),
        wider.latency,
        int(where.sum()),
        _spread(pair, where),
    )


def _spread(pair: _Pair, where: NDArray[np.bool_]) -> float:
    """Return a robust standard deviation of the log ratio of two whole answers."""
    other, logged = pair.parts[where & pair.whole][:, 2:4].T
    both = (other > 0) & (logged > 0)
    logs = np.log(other[both] / logged[both])
    return float(_MAD * np.median(np.abs(logs - np.median(logs)))) if len(logs) else 0.0


def _pair(measures: pd.DataFrame, a: str, b: str) -> _Pair:
    named = (("input", b), ("input", a), ("output", b), ("output", a), ("reasoning", b))
    columns = [measures[column].to_numpy(float) for column in named]
    cut = measures["cut", a].to_numpy(float) + measures["cut", b].to_numpy(float)
    return _Pair(np.column_stack(columns), cut == 0)


def _measures(labels: Labels) -> pd.DataFrame:
    """Lay out what each model used, one row an item, columns (measure, model), answers as long as they would have been uncut."""
    plain = labels.outcomes[(labels.outcomes["prompt_variant"] == "") & (labels.outcomes["repeat"] == 0)]
    asked = labels.items.set_index("request_id").loc[plain["request_id"], ["app", "max_tokens"]]
    visible, reasoning = plain["output_tokens"].to_numpy(float, na_value=np.nan), plain["reasoning_tokens"].to_numpy(float, na_value=np.nan)
    ended = (plain["finish_reason"] == "length").to_numpy(bool, na_value=False) & (visible > 0)
    cut = ended | was_cut(visible, np.nan_to_num(reasoning), asked["max_tokens"].to_numpy(float, na_value=np.nan))
    return (
        pd.DataFrame(
            {
                "request_id": plain["request_id"],
                "model": plain["model"],
                "input": plain[_INPUT].sum(axis=1),
                "output": _uncut(visible, cut, _coded(plain["model"]), _coded(asked["app"])),
                "reasoning": reasoning,
                "latency": plain["latency_ms"],
                "cut": cut.astype(float),
            }
        )
        .pivot(index="request_id", columns="model")
        .reindex(labels.items["request_id"])
    )


def _uncut(visible: F64, cut: NDArray[np.bool_], model: Coded, app: Coded) -> F64:
    out = visible.copy()
    for (m, a), law in fit_lengths(visible, cut, model, app).items():
        own = cut & (model.codes == model.code(m)) & (app.codes == app.code(a))
        out[own] = unlimited(visible[own], law)
    return out


def _coded(values: pd.Series) -> Coded:
    codes, names = pd.factorize(values)
    return Coded(codes.astype(np.int32), tuple(map(str, names)))


def _ratio(pair: _Pair, latency: F64, other: F64) -> Ratio:
    """Return the ratio of a pair over all its requests, each factor over those of which both its sides are known."""

    def of(above: F64, below: F64, may_be_none: bool = False) -> float | None:
        known = np.isfinite(above) & np.isfinite(below)
        top, bottom = above[known].sum(), below[known].sum()
        # Reasoning may truly be none; input, answer and time are never nothing, only not counted by the source.
        counted = bottom > 0 and (top > 0 or may_be_none)
        return float(top / bottom) if known.sum() >= MIN_PAIRS and counted else None

    p = pair.parts.T
    answered = np.isfinite(p[2]) & np.isfinite(p[3])
    return Ratio(of(p[0], p[1]), of(p[2], p[3]), of(p[4], p[3], True), of(other, latency), int(answered.sum()))
