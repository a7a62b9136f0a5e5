"""Grading: answers and a grader become Labels, and whatever could not be graded stays, with the reason.

In: Answers, a Grader (a name and a function), and the right answers by request where there are any. Out: Graded: labels and
ungraded rows that together are the answers asked for. Knows nothing of how a grader decides.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from planner.errors import InputError, did_you_mean
from planner.labels.answers import Answers
from planner.labels.table import Labels
from planner.schema import LABELS

__all__ = ["LOGGED", "UNGRADED", "Case", "Grade", "Graded", "Grader", "Verdicts", "compared", "digest", "grade", "rowwise"]

_KEY = ["request_id", "model", "prompt_variant", "repeat"]
#: As ``Grader.against``: whatever answered in the log.
LOGGED = "log"
#: What an answer is worth that is compared with itself: a tie.
TIE = 0.5
#: Columns of ``Graded.ungraded``.
UNGRADED = (*_KEY, "reason", "detail")


@dataclass(frozen=True, slots=True)
class Case:
    """One answer as a grader sees it; ``reference`` is the right answer, or the answer it is compared with, or None."""

    request_id: str
    model: str
    prompt_variant: str
    repeat: int
    app: str
    messages: str | None
    response: str
    reference: str | None


@dataclass(frozen=True, slots=True)
class Grade:
    """A quality in [0, 1], or NaN with the reason (a few words) and its detail; ``checks`` are kept in ``validators``."""

    quality: float = math.nan
    reason: str = ""
    detail: str = ""
    checks: Mapping[str, Any] = field(default_factory=dict)
    cost_usd: float = 0.0


#: From cases to one grade a case, in their order.
Verdicts: TypeAlias = Callable[[Sequence[Case]], Sequence[Grade]]


@dataclass(frozen=True)
class Grader:
    """A way to grade: ``name`` with its version, as it will stand beside every grade, and the function.

    Parameters
    ----------
    needs_reference: a case without a reference is not graded.
    against: a model, or ``"log"``: cases are comparisons with its answer, which itself gets 0.5 by definition. A win is 1, a
        tie 0.5, a loss 0, so the gain over it is half of (wins − losses): a margin of one point is two net losses in 100.

    Examples
    --------
    >>> short = Grader("short v1", rowwise(lambda case: Grade(float(len(case.response) < 80))))
    """

    name: str
    verdicts: Verdicts = field(repr=False)
    needs_reference: bool = False
    against: str | None = None


def digest(text: str, size: int = 4) -> str:
    """Return ``size`` bytes of a text's hash in hexadecimal: what a name has of a setting too long to be in it.

    >>> digest("be brief"), len(digest("", 16))
    ('ebe2cf6b', 32)
    """
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).hexdigest()


def rowwise(verdict: Callable[[Case], Grade]) -> Verdicts:
    """Lift a function of one case to all cases."""
    return lambda cases: [verdict(case) for case in cases]


@dataclass(frozen=True, eq=False)
class Graded:
    """``labels`` and ``ungraded`` (columns UNGRADED): together every answer that was asked for; what grading cost is in [USD]."""

    labels: Labels
    ungraded: pd.DataFrame
    grader: str
    cost_usd: float = 0.0

    @property
    def table(self) -> pd.DataFrame:
        """One row a model: ``answers`` = ``graded`` + one column a reason, and the mean ``quality`` of the graded ones."""
        outcomes = self.labels.outcomes
        why = pd.crosstab(self.ungraded["model"], self.ungraded["reason"])
        table = pd.DataFrame({"graded": outcomes.groupby("model").size(), "quality": outcomes.groupby("model")["quality"].mean()})
        table = table.join(why, how="outer").rename_axis(index="model", columns=None)
        counts = table.drop(columns="quality").fillna(0).astype("int64")
        counts.insert(0, "answers", counts.sum(axis=1))
        return counts.assign(quality=table["quality"])

    @property
    def text(self) -> str:
        """How many were graded, how many not and why, and the mean quality of each model."""
        counts = self.ungraded["reason"].value_counts()
        n, total = len(self.labels.outcomes), len(self.labels.outcomes) + len(self.ungraded)
        said = f"{total:,} answers: {n:,} graded by {self.grader}, {total - n:,} not"
        said += f" ({', '.join(f'{k:,} {reason}' for reason, k in counts.items())})" if len(counts) else ""
        means = ", ".join(f"{m} {q:.3f}" for m, q in self.table["quality"].dropna().items())
        said += f". Mean quality: {means}" if means else ""
        return said + (f". Grading cost ${self.cost_usd:,.4g}, measured." if self.cost_usd else ".")

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.to_html(escape=True)}"

    def save(self, folder: str | Path) -> Path:
        """Write the labels into ``folder``, and ``ungraded.parquet`` beside them; return the folder."""
        path = self.labels.save(folder)
        pq.write_table(pa.Table.from_pandas(self.ungraded, preserve_index=False), path / "ungraded.parquet", compression="zstd")
        return path


def grade(answers: Answers, grader: Grader, *, references: Mapping[str, str] | None = None) -> Graded:
    """Grade every answer that there is.

    Parameters
    ----------
    references: request id → its right answer, for graders that need one; stored beside the grade.

    Failed calls, answers without a reference and what the grader could not decide become ``ungraded`` rows; none becomes a
    quality of 0. Items, their weights and the answers' meta go into the labels untouched. Raises InputError when
    ``grader.against`` answered nothing, or a grader returns another number of grades or a quality outside [0, 1].

    >>> items = pd.DataFrame({"request_id": ["a"]})
    >>> rows = pd.DataFrame({"request_id": ["a", "a"], "model": ["m", "s"], "source": "run", "response": ["4", None],
    ...                      "status": ["ok", "rate_limit"]})
    >>> four = Grader("four v1", rowwise(lambda case: Grade(float(case.response == "4"))))
    >>> grade(Answers.of(items, rows), four).text
    '2 answers: 1 graded by four v1, 1 not (1 rate_limit). Mean quality: m 1.000.'
    """
    rows = _beside(answers, grader.against, references or {})
    settled = {i: Grade(reason=str(s)) for i, s in rows["status"].items() if s != "ok"}
    settled |= {i: Grade(TIE, checks={"reference": True}) for i in rows.index[rows["own"]]}
    if grader.needs_reference:
        settled |= {i: Grade(reason="no reference") for i in rows.index[rows["reference"].isna()] if i not in settled}
    asked = [i for i in rows.index if i not in settled]
    settled |= dict(zip(asked, _checked(grader, _cases(rows.loc[asked])), strict=True))
    return _graded(answers, rows, [settled[i] for i in rows.index], grader)


def compared(answers: Answers, against: str) -> list[Case]:
    """Return every answer that can be compared with one of ``against`` (a model, or ``"log"``), which is its reference."""
    rows = _beside(answers, against, {})
    return _cases(rows[(rows["status"] == "ok") & ~rows["own"] & rows["reference"].notna()])


def _beside(answers: Answers, against: str | None, given: Mapping[str, str]) -> pd.DataFrame:
    """Return the answers with what was asked, the ``reference`` of each, and whether it is the home model's ``own`` answer."""
    rows = answers.rows.reset_index(drop=True)
    home = rows["request_id"].map(_home(answers, against)) if against else pd.Series(index=rows.index, dtype="object")
    rows["own"] = (rows["status"] == "ok") & (rows["model"] == home) & (rows["prompt_variant"] == "")
    items = answers.items.set_index("request_id")
    return rows.assign(
        reference=_home_text(rows) if against else rows["request_id"].map(dict(given)).astype("string"),
        app=rows["request_id"].map(items["app"]),
        messages=rows["request_id"].map(items["messages"]),
    )


def _home(answers: Answers, against: str) -> pd.Series:
    """Return request id → the model that its answers are compared with."""
    rows = answers.answered
    if against == LOGGED:
        logged = rows[rows["source"] == "log"].drop_duplicates("request_id")
        if logged.empty:
            raise InputError("answers without one of the log", "rows with the source 'log'", "name a model to compare with")
        return logged.set_index("request_id")["model"]
    if against not in set(rows["model"]):
        raise InputError(f"model {against!r}", f"one that answered: {', '.join(answers.models)}", did_you_mean(against, answers.models))
    return pd.Series(against, index=answers.items["request_id"])


def _home_text(rows: pd.DataFrame) -> pd.Series:
    """Return the home model's text for each answer: of the same repeat, else of its first."""
    own = rows[rows["own"]].sort_values("repeat", kind="stable")
    own = own.assign(response=own["response"].fillna(""))
    first = own.drop_duplicates("request_id").set_index("request_id")["response"]
    same = own.set_index(["request_id", "repeat"])["response"]
    exact = pd.Series(same.reindex(pd.MultiIndex.from_frame(rows[["request_id", "repeat"]])).to_numpy(), rows.index)
    return exact.fillna(rows["request_id"].map(first)).astype("string")


def _cases(rows: pd.DataFrame) -> list[Case]:
    columns = [rows[n].tolist() for n in (*_KEY, "app")]
    texts = (_texts(rows[n]) for n in ("messages", "response", "reference"))
    made = zip(*columns, *texts, strict=True)
    return [Case(i, m, v, int(r), a, asked, text or "", right) for i, m, v, r, a, asked, text, right in made]


def _texts(column: pd.Series) -> list[str | None]:
    return [None if absent else str(text) for text, absent in zip(column.tolist(), column.isna().tolist(), strict=True)]


def _checked(grader: Grader, cases: Sequence[Case]) -> Sequence[Grade]:
    grades = grader.verdicts(cases) if cases else ()
    if len(grades) != len(cases):
        raise InputError(f"{len(grades)} grades of {grader.name} for {len(cases)} answers", "one each, in their order")
    wrong = next((g for g in grades if not (0 <= g.quality <= 1 or (math.isnan(g.quality) and g.reason))), None)
    if wrong is not None:
        raise InputError(f"quality {wrong.quality} of {grader.name}", "a number from 0 to 1, or NaN with a reason")
    return grades


def _graded(answers: Answers, rows: pd.DataFrame, grades: Sequence[Grade], grader: Grader) -> Graded:
    checks: list[Any] = [json.dumps(dict(g.checks)) if g.checks else None for g in grades]
    rows = rows.assign(
        quality=[g.quality for g in grades],
        grader=grader.name,
        validators=checks,
        reason=[g.reason for g in grades],
        detail=[g.detail or str(e or "") for g, e in zip(grades, _texts(rows["error_class"]), strict=True)],
    )
    absent = rows["quality"].isna()
    ungraded = rows.loc[absent, list(UNGRADED)].reset_index(drop=True)
    cost = math.fsum(g.cost_usd for g in grades)
    meta = {k: v for k, v in answers.meta.items() if k not in ("format", "version", "items", "answers")}
    meta |= {"grader": grader.name, "against": grader.against, "grading_cost_usd": cost, "ungraded": int(absent.sum())}
    meta |= {f"ungraded_by_{n}": {str(k): int(c) for k, c in ungraded[n].value_counts().items()} for n in ("model", "reason")}
    outcomes = rows.loc[~absent, [n for n in LABELS.names if n in rows]]
    return Graded(Labels.of(answers.items, outcomes, **meta), ungraded, grader.name, cost)
