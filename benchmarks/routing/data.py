"""Labelled rows as a routing benchmark sees them: requests with and without their domain, gains, costs, groups.

In: Labels, the reference's name and stated costs, if any. Out: a frozen Data, in which models and rows that cannot be judged
are left out by name and count; or one sentence on why nothing can be measured. Knows nothing of methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, NeedsError, did_you_mean
from planner.labels import Labels
from planner.router import Requests
from planner.training.split import bind

__all__ = ["MIN_JUDGED", "STATED", "Data", "pose"]

F64 = NDArray[np.float64]
#: Fewer fully labelled rows than this judge nothing; fewer groups cannot be dealt into folds.
MIN_JUDGED, _MIN_GROUPS = 40, 10
#: Rows that every model kept must have answered, where there are more than two: this share, or this many.
_WHOLE, _ENOUGH = 0.5, 1_000
#: What stands for the cost of a model nobody has stated: from 1 to this, dearer where better.
_DEAREST = 20.0
_COLUMNS = ("messages", "has_tools", "response_format", "modalities", "max_tokens", "text_state")
_ROUTELLM = "USD per million tokens, RouteLLM (arXiv:2406.18665, §5)"
_LLMROUTER = "USD per million tokens, LLMRouter's table of candidates (NVIDIA)"
_SMALL = ("qwen2.5-7b-instruct", "codegemma-7b", "llama-3.1-8b-instruct", "llama3-chatqa-1.5-8b", "mistral-7b-instruct-v0.3")
_LARGE = ("llama-3.3-nemotron-super-49b-v1", "llama-3.1-nemotron-51b-instruct", "llama3-chatqa-1.5-70b")
#: Costs of the models of the public files, by model; only ratios matter.
STATED: Mapping[str, tuple[float, str]] = {
    "gpt_4_1106_preview": (24.7, _ROUTELLM),
    "mixtral_8x7b_instruct": (0.24, _ROUTELLM),
    "gemma-2-9b-it": (0.1, _LLMROUTER),
    **dict.fromkeys(_SMALL, (0.2, _LLMROUTER)),
    **dict.fromkeys(_LARGE, (0.9, _LLMROUTER)),
}


@dataclass(frozen=True, eq=False)
class Data:
    """``n`` labelled requests of ``K`` models.

    Parameters
    ----------
    name: the dataset.
    models: sorted; ``reference`` is the column that gains are taken over.
    requests: ``text`` sees no domain, ``all`` sees it as the request's app.
    text: template and deciding turn of each, what other libraries read.
    domain: (n,) codes; ``domains`` counts them, 1 where there is no column.
    quality: (n, K), NaN where unlabelled. cost: (n, K), the cost of every answer. weight: (n,).
    unit: (n,) codes of the groups that are never split.
    costs: what stands for each model's cost; ``cost_basis`` says whence.
    notes: what was left out.
    embedding: (n, 384) MiniLM rows, None until somebody needs them.
    """

    name: str
    models: tuple[str, ...]
    reference: int
    requests: Mapping[str, Requests]
    text: tuple[str, ...]
    domain: NDArray[np.int64]
    quality: F64
    cost: F64
    weight: F64
    unit: NDArray[np.int64]
    costs: Mapping[str, float]
    cost_basis: str
    notes: tuple[str, ...] = ()
    embedding: NDArray[np.float32] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.text)

    @property
    def k(self) -> int:
        """Number of models."""
        return len(self.models)

    @property
    def rates(self) -> F64:
        """What an answer of each model is expected to cost, (K,): what decisions go by."""
        return np.array([self.costs[m] for m in self.models])

    @property
    def domains(self) -> int:
        """Number of domains."""
        return int(self.domain.max(initial=0)) + 1

    @property
    def strong(self) -> int:
        """The better model on the judged rows: what APGR counts the share of, whichever the reference is."""
        return int(np.average(self.quality[self.whole], axis=0, weights=self.weight[self.whole]).argmax())

    @property
    def weak(self) -> int:
        """The other model, where there are two."""
        return 1 - self.strong

    @cached_property
    def lost(self) -> F64:
        """Quality of the better of two models over the other's, (n,)."""
        return np.asarray(self.quality[:, self.strong] - self.quality[:, self.weak])

    def spared(self, gains: NDArray[Any]) -> F64:
        """Return the weak model's predicted gain over the strong one, (n,): requests with the least need the strong one most."""
        return np.asarray(gains[:, self.weak] - gains[:, self.strong], float)

    @cached_property
    def gain(self) -> F64:
        """Quality over the reference's, (n, K); NaN where either is unlabelled."""
        return self.quality - self.quality[:, [self.reference]]

    @cached_property
    def whole(self) -> NDArray[np.bool_]:
        """Rows that every model answered: what methods are judged on."""
        return np.asarray(~np.isnan(self.quality).any(1))

    def take(self, rows: NDArray[Any]) -> Data:
        """Keep ``rows`` (positions), with everything fitted to them."""
        at = np.flatnonzero(rows) if rows.dtype == bool else rows
        kept: dict[str, Any] = {n: getattr(self, n)[at] for n in ("domain", "quality", "cost", "weight", "unit")}
        kept["domain"] = np.unique(kept["domain"], return_inverse=True)[1]
        kept["unit"] = np.unique(kept["unit"], return_inverse=True)[1]
        kept["embedding"] = None if self.embedding is None else self.embedding[at]
        texts = tuple(self.text[i] for i in at)
        return replace(self, text=texts, requests={n: r.take(at) for n, r in self.requests.items()}, **kept)


def pose(
    labels: Labels,
    name: str,
    *,
    reference: str | None = None,
    costs: Mapping[str, float] | None = None,
    max_rows: int | None = None,
    seed: int = 0,
) -> Data:
    """Bring labels to arrays; without ``reference`` the best model is it.

    Costs are as stated, else as the labels say of each answer, else those of public models, else assumed. InputError or
    NeedsError when there is nothing to choose between or too little to judge on.
    """
    items = labels.items
    quality, models, notes = _models(labels, reference)
    given: dict[str, Any] = {c: items[c].tolist() for c in _COLUMNS if c in items}
    requests = Requests.of(**given, app=items["app"].tolist())
    texts = tuple(f"{s}\n{u}".strip() for s, u in zip(requests.system, requests.user, strict=True))
    keys, note = bind(items, list(texts), np.asarray(~np.isnan(quality).any(1)))
    home = models.index(reference) if reference else int(np.nanmean(quality[_judged(quality)], axis=0).argmax())
    cost, shown, basis = _costs(labels, models, quality, costs)
    data = Data(
        name,
        models,
        home,
        {"all": requests, "text": Requests.of(**given)},
        texts,
        np.unique(np.array(requests.app), return_inverse=True)[1],
        quality,
        cost,
        items["weight"].to_numpy(float),
        np.unique(keys, return_inverse=True)[1],
        shown,
        basis,
        tuple(n for n in (*notes, note) if n),
    )
    return _checked(_limited(data, max_rows, seed))


def _models(labels: Labels, reference: str | None) -> tuple[F64, tuple[str, ...], list[str]]:
    """Return qualities, models and what was left out: with more than two, models that too few rows share with the rest."""
    models = labels.models
    if reference is not None and reference not in models:
        raise InputError(f"--reference {reference!r}", f"a model among {', '.join(models)}", did_you_mean(reference, models))
    if len(models) < 2:
        raise NeedsError(f"labels for one model ({', '.join(models)})", "at least two", "let another model answer the same requests")
    quality, kept, notes = labels.quality(models), list(range(len(models))), []
    while len(kept) > 2 and (~np.isnan(quality[:, kept]).any(1)).sum() < min(_WHOLE * len(quality), _ENOUGH):
        scarce = [k for k in kept if models[k] != reference]
        gone = max(scarce, key=lambda k: float(np.isnan(quality[:, k]).sum()))
        if not np.isnan(quality[:, gone]).any():
            break
        kept.remove(gone)
        notes.append(f"{models[gone]} left out: graded on {int((~np.isnan(quality[:, gone])).sum())} of {len(quality)} rows")
    return quality[:, kept], tuple(models[k] for k in kept), notes


def _judged(quality: F64) -> NDArray[np.bool_]:
    whole = np.asarray(~np.isnan(quality).any(1))
    return whole if whole.any() else np.ones(len(quality), bool)


def _costs(labels: Labels, models: tuple[str, ...], quality: F64, stated: Mapping[str, float] | None) -> tuple[F64, dict[str, float], str]:
    """Return the cost of every answer (n, K), one figure a model, and whence."""
    n = len(quality)
    if stated is not None:
        if missing := [m for m in models if m not in stated]:
            raise InputError(f"costs without {', '.join(missing)}", "a number for each model", "add them to the --costs file")
        if bad := [m for m in models if not (isinstance(stated[m], (int, float)) and np.isfinite(stated[m]) and stated[m] >= 0)]:
            raise InputError(f"cost {stated[bad[0]]!r} for {bad[0]!r}", "a number of at least 0")
        return _flat(n, {m: float(stated[m]) for m in models}, "stated per request")
    paid = _paid(labels, models)
    if not np.isnan(paid).all(0).any():
        mean = np.nanmean(paid, axis=0)
        shown = dict(zip(models, mean.tolist(), strict=True))
        return np.where(np.isnan(paid), mean, paid), shown, "measured: cost_usd of the labels; a missing one is its model's mean"
    if all(m in STATED for m in models):
        return _flat(n, {m: STATED[m][0] for m in models}, f"stated: {STATED[models[0]][1]}; only ratios matter")
    order = np.argsort(np.argsort(np.nanmean(quality, axis=0)))
    ladder = np.geomspace(1.0, _DEAREST, len(models))[order]
    basis = f"assumed: 1 to {_DEAREST:g} per request, dearer where better; pass --costs"
    return _flat(n, dict(zip(models, ladder.tolist(), strict=True)), basis)


def _flat(n: int, costs: dict[str, float], basis: str) -> tuple[F64, dict[str, float], str]:
    return np.tile(np.array(list(costs.values())), (n, 1)), costs, basis


def _paid(labels: Labels, models: tuple[str, ...]) -> F64:
    plain = labels.outcomes[labels.outcomes["prompt_variant"] == ""]
    table = plain.pivot_table(index="request_id", columns="model", values="cost_usd", aggfunc="mean", sort=False)
    paid: F64 = table.reindex(index=labels.items["request_id"], columns=list(models)).to_numpy(float)
    return paid


def _limited(data: Data, max_rows: int | None, seed: int) -> Data:
    """Keep whole groups, drawn at random, up to ``max_rows`` rows, and only rows with some label beside the reference's."""
    useful = np.flatnonzero((~np.isnan(data.gain)).sum(1) > 1)
    notes = data.notes if len(useful) == len(data) else (*data.notes, f"{len(data) - len(useful)} rows without a pair of grades left out")
    if max_rows is not None and max_rows < len(useful):
        place = np.random.default_rng(seed).permutation(data.unit.max() + 1)[data.unit[useful]]
        useful = np.sort(useful[np.argsort(place, kind="stable")[:max_rows]])
        notes = (*notes, f"limited to {max_rows} rows")
    return replace(data.take(useful), notes=notes)


def _checked(data: Data) -> Data:
    judged, groups = int(data.whole.sum()), len(np.unique(data.unit[data.whole]))
    if judged < MIN_JUDGED or groups < _MIN_GROUPS:
        raise NeedsError(
            f"{judged} rows in {groups} groups that all of {', '.join(data.models)} answered",
            f"at least {MIN_JUDGED} rows in {_MIN_GROUPS} groups to judge a router on",
            "label more requests, or fewer models",
        )
    if not np.nan_to_num(data.gain).any():
        same = f"the same quality for all of {', '.join(data.models)} on every row"
        raise NeedsError(same, "some row on which they differ", "use the cheapest")
    return data
