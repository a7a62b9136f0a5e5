"""Answers: what several models answered to the same requests, not graded yet.

In: two tables, ``items`` (what was asked) and ``rows`` (request × model, answered or with the reason why not). Out: the same,
checked, with counts that add up to what was asked. Stored as two Parquet files and a header. Knows nothing of graders,
prices or of how the answers were fetched.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from planner.errors import InputError
from planner.labels.folder import opened, saved
from planner.labels.table import complete
from planner.schema import LABEL_ITEMS, LABELS, STATUSES, Column, Table

__all__ = ["ANSWERS", "ANSWER_STATES", "Answers"]

#: How asking ended: the states of a call, a batch line that was not served in time, and an answer that never came.
ANSWER_STATES = (*STATUSES, "expired", "missing")
#: Request × model (× prompt variant × repeat): every combination that was asked for has one row, answered or not.
ANSWERS = Table(
    "answers",
    (
        *(LABELS.column(n) for n in ("request_id", "model", "prompt_variant", "repeat")),
        Column("status", "string", "ok | transport | rate_limit | content | validation | cancelled | expired | missing", default="ok"),
        Column("error_class", "string", "the source's own name of the failure"),
        Column("source", "string", "run | openai | anthropic | log: where the answer comes from; log: the answer of today", required=True),
        *(LABELS.column(n) for n in ("response", "finish_reason")),
        *(c for c in LABELS.columns if c.name.endswith("_tokens")),
        LABELS.column("latency_ms"),
        Column(
            "cost_usd", "double", "[USD] what this answer costs in traffic: its tokens at standard rates; of source log, as it was logged"
        ),
        Column("paid_usd", "double", "[USD] what having it cost: all calls of runs, a batch at its rates; nothing where the log had it"),
        Column("evidence", "string", "of both: measured (usage × rates) | assumed", default="measured"),
    ),
)
_KEY = ["request_id", "model", "prompt_variant", "repeat"]


@dataclass(frozen=True, eq=False)
class Answers:
    """Ungraded answers: ``items`` (schema.LABEL_ITEMS) and ``rows`` (ANSWERS), both complete and in stored order.

    A row whose ``status`` is not ``ok`` has no response and is kept; one that was cut at the output limit has the
    ``finish_reason`` ``length``. The row with ``source`` ``log`` is today's own answer, reused at no cost.

    >>> items = pd.DataFrame({"request_id": ["a"], "messages": ['[{"role":"user","content":"2+2?"}]']})
    >>> rows = pd.DataFrame({"request_id": ["a", "a"], "model": ["m", "s"], "source": "run", "response": ["4", None],
    ...                      "status": ["ok", "rate_limit"]})
    >>> answers = Answers.of(items, rows)
    >>> answers.text
    '1 request, 2 answers (0 of today): 1 answered, 1 rate limit'
    """

    items: pd.DataFrame = field(repr=False)
    rows: pd.DataFrame = field(repr=False)
    meta: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, items: pd.DataFrame, rows: pd.DataFrame, **meta: Any) -> Answers:
        """Check and complete two tables; InputError names the first thing that is wrong."""
        items, rows = complete(items, LABEL_ITEMS), complete(rows, ANSWERS)
        orphan = ~rows["request_id"].isin(items["request_id"])
        if orphan.any():
            raise InputError(f"an answer to request {rows['request_id'][orphan].iloc[0]!r}", "a row for it in the items")
        if rows.duplicated(_KEY).any():
            twice = rows[rows.duplicated(_KEY)].iloc[0]
            raise InputError(f"two answers for {dict(twice[_KEY])}", "one per request, model, prompt variant and repeat")
        strange = ~rows["status"].isin(ANSWER_STATES)
        if strange.any():
            raise InputError(f"status {rows['status'][strange].iloc[0]!r}", f"one of {', '.join(ANSWER_STATES)}")
        return cls(items.reset_index(drop=True), rows.reset_index(drop=True), meta)

    @classmethod
    def open(cls, folder: str | Path) -> Answers:
        """Open a folder written by ``save``; InputError when it is not one."""
        (items, rows), payload = opened(folder, "answers", ("items", "answers"), "run: planner labels ingest WORK --out FOLDER")
        return cls(items, rows, payload)

    def save(self, folder: str | Path) -> Path:
        """Write into ``folder`` (made if absent, readable by its owner alone) and return it; InputError when others' files are there."""
        frames = {"items": (self.items, LABEL_ITEMS), "answers": (self.rows, ANSWERS)}
        return saved(folder, "answers", frames, {**self.meta, "items": len(self.items), "answers": len(self.rows)})

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"Answers({self.text})"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{self.table.to_html(escape=True)}"

    @property
    def models(self) -> tuple[str, ...]:
        """The models that were asked, sorted."""
        return tuple(sorted(self.rows["model"].unique()))

    @property
    def answered(self) -> pd.DataFrame:
        """The rows that can be graded: ``status`` ok, cut answers included."""
        return self.rows[self.rows["status"] == "ok"]

    @property
    def table(self) -> pd.DataFrame:
        """One row per model: ``asked``, and its parts ``answered`` and every other state that occurs; ``cut`` is part of answered."""
        counts = pd.crosstab(self.rows["model"], self.rows["status"]).rename(columns={"ok": "answered"})
        kinds = ["answered", *(s for s in ANSWER_STATES[1:] if s in counts)]
        counts = counts.reindex(columns=kinds, fill_value=0).rename_axis(columns=None)
        counts.insert(0, "asked", counts.sum(axis=1))
        counts["cut"] = self.answered.groupby("model")["finish_reason"].agg(lambda f: int((f == "length").sum()))
        counts["paid_usd"] = self.rows.groupby("model")["paid_usd"].sum()
        return counts.assign(cut=counts["cut"].fillna(0).astype("int64"))

    @property
    def text(self) -> str:
        """What came back, in one sentence whose parts add up to what was asked."""
        counts = self.rows["status"].value_counts()
        parts = [f"{counts.get('ok', 0):,} answered", *(f"{counts[s]:,} {s.replace('_', ' ')}" for s in ANSWER_STATES[1:] if s in counts)]
        cut = int((self.answered["finish_reason"] == "length").sum())
        today = int((self.rows["source"] == "log").sum())
        said = f"{len(self):,} request{'s' * (len(self) != 1)}, {len(self.rows):,} answers ({today:,} of today): {', '.join(parts)}"
        return said + (f"; {cut:,} of the answers are cut at the output limit" if cut else "")
