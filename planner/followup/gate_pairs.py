"""Two sets of graded answers as pairs: the same items, graded by the same grader, or one sentence on why they cannot be compared.

In: new and baseline Labels, and which model of each. Out: a row an item with both grades and what else is known of both answers. Knows
nothing of margins.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.errors import InputError, did_you_mean
from planner.labels import Labels
from planner.schema import TOKEN_BUCKETS
from planner.text.messages import conversation
from planner.training.split import bind

__all__ = ["Pairs", "pairs"]

#: What is known of an answer beside its grade; of repeats the mean.
KNOWN = ("quality", "cost_usd", "latency_ms", "input_tokens", "output_tokens", "unfinished")
#: Ways of ending that are as they should be.
_ENDED = ("stop", "tool_calls", "end_turn", "stop_sequence", "tool_use", "function_call", "completed")


@dataclass(frozen=True, eq=False)
class Pairs:
    """``n`` items answered and graded on both sides.

    Parameters
    ----------
    items: ``schema.LABEL_ITEMS`` of the baseline. new, baseline: (n rows) the columns KNOWN, NaN where not known.
    unit: (n,) names of what depends on one another: sessions, duplicates, users. note: what had to be left out of that, or "".
    names: the model, or model and prompt variant, of either side. grader: who graded.
    """

    items: pd.DataFrame = field(repr=False)
    new: pd.DataFrame = field(repr=False)
    baseline: pd.DataFrame = field(repr=False)
    unit: NDArray[np.str_]
    note: str
    names: tuple[str, str]
    grader: str

    def __len__(self) -> int:
        return len(self.items)

    @property
    def difference(self) -> NDArray[np.float64]:
        """New minus baseline quality, (n,)."""
        found: NDArray[np.float64] = self.new["quality"].to_numpy(float) - self.baseline["quality"].to_numpy(float)
        return found

    @property
    def weight(self) -> NDArray[np.float64]:
        """How many requests each item stands for, (n,)."""
        return self.items["weight"].to_numpy(float)


def pairs(
    new: Labels,
    baseline: Labels,
    model: str | None = None,
    against: str | None = None,
    *,
    variant: str | None = None,
    against_variant: str | None = None,
) -> Pairs:
    """Pair the answers of ``model`` in ``new`` with those of ``against`` in ``baseline``; each may be left out where there is one.

    ``variant`` and ``against_variant`` are of prompts; without a name that is the prompt as it was, or the only one there is.

    Raises InputError where a side has several models or named prompts and none is named, where an item is not in both or asks something
    else, where an answer was not graded, and where graders, what they compared with, or right answers differ.
    """
    (name, rows), (other, before) = (
        _chosen(new, model, variant, ("model", "variant")),
        _chosen(baseline, against, against_variant, ("against", "against_variant")),
    )
    ids = baseline.items["request_id"]
    _same_items(new.items, baseline.items)
    for side, found, who in (("new", rows, name), ("baseline", before, other)):
        absent = sorted({*ids} - {*found["request_id"]})
        if absent:
            raise InputError(
                f"{len(absent):,} of {len(ids):,} items without a grade of {who} among the {side} labels, {absent[0]!r} first",
                "a grade of each item on both sides",
                "ask and grade them again; an answer that failed is a grade of 0, since leaving it out would hide it",
            )
    grader = _same_graders(rows, before)
    if (was := baseline.meta.get("against")) != (now := new.meta.get("against")):
        raise InputError(
            f"new grades against {now}, the baseline's against {was}", "both compared with the same answers", "grade both alike"
        )
    unit, note = bind(baseline.items, [conversation(m).full for m in baseline.items["messages"]], np.ones(len(ids), bool))
    return Pairs(baseline.items, _known(rows, ids), _known(before, ids), unit, note, (name, other), grader)


def _chosen(labels: Labels, model: str | None, variant: str | None, options: tuple[str, str]) -> tuple[str, pd.DataFrame]:
    """Return a side's name and outcomes, of its model and prompt variant."""
    option, of_prompt = options
    if model is not None and model not in labels.models:
        raise InputError(f"{option} {model!r}", f"one of {', '.join(labels.models)}", did_you_mean(model, labels.models))
    if model is None and len(labels.models) != 1:
        raise InputError(f"labels of {', '.join(labels.models)}", "one model a side", f"name it with {option}= (--{option})")
    name = model or labels.models[0]
    rows = labels.outcomes[labels.outcomes["model"] == name]
    variants = sorted(rows["prompt_variant"].unique())
    shown = ", ".join(repr(each) for each in variants)
    if variant is not None and variant not in variants:
        raise InputError(f"{of_prompt} {variant!r}", f"one of {shown}", did_you_mean(variant, variants))
    if variant is None and len(variants) > 1 and "" not in variants:
        fix = f"name it with {of_prompt}= (--{of_prompt.replace('_', '-')})"
        raise InputError(f"answers of {name} to the prompt variants {shown}", "one prompt variant a side", fix)
    if variant is None:
        variant = variants[0] if len(variants) == 1 else ""
    return (f"{name} ({variant})" if variant else name), rows[rows["prompt_variant"] == variant]


def _same_items(new: pd.DataFrame, baseline: pd.DataFrame) -> None:
    missing, extra = ({*a["request_id"]} - {*b["request_id"]} for a, b in ((baseline, new), (new, baseline)))
    if missing or extra:
        first = sorted(missing or extra)[0]
        raise InputError(
            f"{len(missing):,} items of the baseline that the new labels do not have, {len(extra):,} the other way round, {first!r} first",
            "the same evaluation set on both sides",
            "answer and grade the same items; where ids were made from prompts that were edited, name a column of ids",
        )
    both = baseline[["request_id", "messages"]].merge(new[["request_id", "messages"]], on="request_id", suffixes=("", "_new")).dropna()
    for request, was, now in both.itertuples(index=False):
        if was != now and conversation(was).users != conversation(now).users:
            raise InputError(
                f"item {request!r}, whose users' turns differ in the new labels and the baseline",
                "the same questions on both sides; only system prompts may differ",
                "give items that changed another id",
            )


def _same_graders(new: pd.DataFrame, baseline: pd.DataFrame) -> str:
    """Return the graders; InputError where an item has another one, or another right answer, on the two sides."""
    for column, what, fix in (
        ("grader", "graders", "grade both sides with one grader, in one version"),
        ("reference", "right answers", "grade both sides with the same references"),
    ):
        sides = [side.dropna(subset=column).drop_duplicates(["request_id", column])[["request_id", column]] for side in (new, baseline)]
        both = sides[0].merge(sides[1], on="request_id", suffixes=("", "_before"))
        other = both[both[column] != both[f"{column}_before"]]
        if len(other):
            row = other.iloc[0]
            shown = f" ({row[column]} and {row[f'{column}_before']})" if column == "grader" else ""
            raise InputError(
                f"{other['request_id'].nunique():,} items with different {what} in the new labels and the baseline{shown}, "
                f"{row['request_id']!r} first",
                f"the same {what}",
                fix,
            )
    return ", ".join(sorted({str(g) for g in new["grader"]}))


def _known(rows: pd.DataFrame, ids: pd.Series) -> pd.DataFrame:
    """Return KNOWN of each item: means over repeats; all input counts as input, reasoning as output."""
    tokens = rows[list(TOKEN_BUCKETS)].astype(float)
    ended = rows["finish_reason"].isin(_ENDED).astype(float).where(rows["finish_reason"].notna())
    table = rows.assign(
        input_tokens=tokens.iloc[:, :4].sum(axis=1, min_count=1),
        output_tokens=tokens.iloc[:, 4:].sum(axis=1, min_count=1),
        unfinished=1 - ended,
    )
    return table.groupby("request_id")[list(KNOWN)].mean().reindex(ids).reset_index(drop=True)
