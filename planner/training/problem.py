"""A labelled routing problem: checked labels as arrays, ready to fit and to judge.

In: Labels, the models in play, and what an answer costs. Out: requests, the quality and cost of every labelled answer, units,
and each candidate's rates and capabilities; or one sentence on why there is nothing to learn. Knows nothing of features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, NeedsError, PriceError, did_you_mean
from planner.labels import Labels
from planner.prices import PriceBook
from planner.router import Capability, Costs, Requests
from planner.router.requests import FORMATS
from planner.training.answer_costs import answer_costs
from planner.training.labelled import able_in, best_known, kept_to_labels
from planner.training.split import MIN_UNITS, PARTS, bind, split

__all__ = ["Problem", "known_capabilities", "pose"]


@dataclass(frozen=True, eq=False)
class Problem:
    """``n`` labelled requests and ``K`` candidates.

    Parameters
    ----------
    requests: what the router reads.
    models: the candidates, sorted; ``reference`` is one of them.
    home: (n,) the code of each row's own reference: its app's model of today, else ``reference``.
    able: (n, K) models that the labels speak about in the row's app.
    quality: (n, K) in [0, 1], NaN where unlabelled.
    cost_usd: (n, K) [USD]: as labelled where the labels say so, else ``costs`` at the request's tokens.
    weight: (n,) requests of the population each row stands for.
    unit: (n,) names of what is never split.
    part: (n,) ``fit``, ``calibrate`` or ``judge``, see ``split.PARTS``.
    note: what had to be left out of the units, "" for nothing.
    day: ISO date on which it is settled which models have retired; "" when neither a date nor a price book is given: none has.
    """

    requests: Requests
    models: tuple[str, ...]
    reference: str
    home: NDArray[np.int64]
    able: NDArray[np.bool_]
    quality: NDArray[np.float64]
    cost_usd: NDArray[np.float64]
    costs: Costs
    capabilities: tuple[Capability, ...]
    weight: NDArray[np.float64]
    unit: NDArray[np.str_]
    part: NDArray[np.str_]
    note: str
    day: str

    @property
    def left_out(self) -> str:
        """Which requests neither certify nor judge for want of an answer, and whose it is; "" when all do."""
        missing = (np.isnan(self.quality) & self.able)[self.part != "fit"]
        gone = int(missing.any(1).sum())
        who = ", ".join(f"{m} ({n:,})" for m, n in zip(self.models, missing.sum(0).tolist(), strict=True) if n)
        return (
            ""
            if not gone
            else f"Of {len(missing):,} requests to certify and judge, {gone:,} are left out, not answered or graded for {who}."
        )

    def rows(self, part: str) -> NDArray[np.int64]:
        """Return the positions of one part."""
        return np.flatnonzero(self.part == part)

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Whether every model that the labels speak about in the row's app answered the row, (n,)."""
        return _whole(self.quality, self.able)

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
    references: Mapping[str, str] | None = None,
    candidates: Sequence[str] | None = None,
    book: PriceBook | None = None,
    at: date | None = None,
    cost: Mapping[str, float] | None = None,
    capabilities: Mapping[str, Capability] | None = None,
    expected_output: Mapping[str, float] | None = None,
    unit: str = "session",
    seed: int = 0,
) -> Problem:
    """Check the labels and bring them to arrays; see :func:`planner.training.train` for the parameters."""
    models = _models(labels, candidates, {*([reference] if reference else ()), *(references or {}).values()})
    quality = labels.quality(models)
    items = labels.items
    columns = ("messages", "app", "has_tools", "response_format", "modalities", "max_tokens", "text_state")
    requests = Requests.of(**{name: items[name].tolist() for name in columns}, unit=unit)
    texts = [f"{s}\n{u}".strip() for s, u in zip(requests.system, requests.user, strict=True)]
    weight = items["weight"].to_numpy(float)
    keys, note = bind(items, texts, (~np.isnan(quality)).sum(1) > 1)
    part = split(keys, seed)
    fit = part == "fit"
    common = reference or models[best_known(quality[fit] if fit.any() else quality, weight[fit] if fit.any() else weight)]
    own = {app: models.index(model) for app, model in (references or {}).items()}
    home = np.array([own.get(app, models.index(common)) for app in requests.app], np.int64)
    able = able_in(quality, requests.app, home)
    _check_text(requests)
    _check(quality, able, home, keys, part, models)
    cost_usd, costs = answer_costs(labels, models, requests.input_tokens, book=book, at=at, stated=cost, expected_output=expected_output)
    known = known_capabilities(labels, models, requests, book) if capabilities is None else capabilities
    can = kept_to_labels([known.get(m, Capability()) for m in models], able, requests.app)
    day = at or (None if book is None else book.date)
    iso = "" if day is None else day.isoformat()
    return Problem(requests, models, common, home, able, quality, cost_usd, costs, can, weight, keys, part, note, iso)


def _whole(quality: NDArray[np.float64], able: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.logical_not(np.logical_and(np.isnan(quality), able).any(axis=1))


def _models(labels: Labels, candidates: Sequence[str] | None, homes: set[str]) -> tuple[str, ...]:
    wanted = set(labels.models if candidates is None else candidates) | homes
    for name in sorted(wanted - set(labels.models)):
        raise InputError(f"model {name!r} without labels", f"models among {', '.join(labels.models)}", did_you_mean(name, labels.models))
    if len(wanted) < 2:
        raise NeedsError(
            f"labels for {len(wanted)} model ({', '.join(sorted(wanted))})",
            "at least two, since a router chooses",
            "let another candidate answer the same requests; planner plan LOG says how many and what they cost",
        )
    return tuple(sorted(wanted))


def _check_text(requests: Requests) -> None:
    """Refuse labels without any prompt: a router that has read nothing can decide nothing."""
    if (requests.text_state == 2).all():
        raise NeedsError(
            f"{len(requests)} labelled requests without any prompt text", "messages or prompts", "read the labels with --prompt COLUMN"
        )


def _check(
    quality: NDArray[np.float64],
    able: NDArray[np.bool_],
    home: NDArray[np.int64],
    keys: NDArray[np.str_],
    part: NDArray[np.str_],
    models: Sequence[str],
) -> None:
    """Refuse what nothing can be learned from."""
    whole = _whole(quality, able) & (able.sum(1) > 1)
    different, both = len(np.unique(keys)), len(np.unique(keys[whole]))
    if different == 1 and len(keys) > 1:
        raise NeedsError(
            f"{len(keys)} labelled requests that are all one session or duplicates of each other",
            f"at least {MIN_UNITS} different ones",
            "label a sample of the log, spread over users and days",
        )
    if both < MIN_UNITS or {*part[whole]} != {*PARTS}:
        raise NeedsError(
            f"{both} different requests that {_answerers(models, able)} answered",
            f"at least {MIN_UNITS}: some train the router, some certify its threshold, and others judge it",
            "label more requests, or name fewer candidates",
        )
    spread = quality[whole] - np.take_along_axis(quality[whole], home[whole, None], 1)
    if not np.nan_to_num(spread)[able[whole]].any():
        raise NeedsError(
            f"the same quality for all of {', '.join(models)} on every one of {int(whole.sum())} requests",
            "some request on which they differ",
            "use the cheapest model, or grade more finely",
        )


def _answerers(models: Sequence[str], able: NDArray[np.bool_]) -> str:
    """Name who must have answered a request for it to count."""
    named = f"all of {', '.join(models)}"
    together = able.all() or (able.sum(1) < 2).all()
    return named if together else f"its app's model of today and all others that were labelled for the app (of {', '.join(models)})"


def known_capabilities(labels: Labels, models: Sequence[str], requests: Requests, book: PriceBook | None = None) -> dict[str, Capability]:
    """Return what labels and catalogue show of each model: what it answered of inputs, tools and formats, and its context window.

    A request with tools or a format that no labelled answer of a model had stays away from it until somebody passes
    ``capabilities`` that say otherwise.
    """
    graded = ~np.isnan(labels.quality(tuple(models)))
    return {m: _known(m, requests.take(graded[:, k]), book) for k, m in enumerate(models)}


def _known(model: str, answered: Requests, book: PriceBook | None) -> Capability:
    longest = int(answered.input_tokens.max(initial=0))
    formats = tuple(f for code, f in enumerate(FORMATS) if code == 0 or (answered.response_format == code).any())
    shown = Capability(tools=bool(answered.has_tools.any()), formats=formats, modalities=_modalities(answered))
    window = _window(model, book)
    if window is None:
        return replace(shown, max_input_tokens=longest, source=f"observed in the labels: inputs up to {longest:,} tokens")
    return replace(shown, context_tokens=max(window, longest), source="observed in the labels; context window of the price book")


def _modalities(answered: Requests) -> tuple[str, ...]:
    return tuple(sorted({"text", *(m for value in set(answered.modalities) for m in value.split(",") if m)}))


def _window(model: str, book: PriceBook | None) -> int | None:
    try:
        return book.context_window(model) if book is not None else None
    except PriceError:
        return None
