"""Labels: what several models answered to the same requests, and how good each answer was.

In: two tables, ``items`` (what was asked) and ``outcomes`` (request × model, graded). Out: the same, checked, and as a
quality matrix. Stored as two Parquet files and a header. Knows nothing of features, routers or prices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from planner.errors import InputError, did_you_mean
from planner.labels.folder import opened, saved
from planner.schema import LABEL_ITEMS, LABELS, Table

__all__ = ["Labels", "complete"]

#: Reasons that the text names.
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Labels:
    """Graded answers: ``items`` (schema.LABEL_ITEMS), ``outcomes`` (schema.LABELS), both complete and in stored order.

    Build one with ``Labels.of(items, outcomes)``, ``Labels.open(folder)`` or :func:`planner.read_labels`.
    """

    items: pd.DataFrame = field(repr=False)
    outcomes: pd.DataFrame = field(repr=False)
    meta: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, items: pd.DataFrame, outcomes: pd.DataFrame, **meta: Any) -> Labels:
        """Check and complete two tables; InputError names the first thing that is wrong."""
        if "quality" in outcomes and outcomes["quality"].isna().any():
            raise InputError(
                f"{int(outcomes['quality'].isna().sum())} outcomes without a quality", "a number from 0 to 1", "leave them out"
            )
        items, outcomes = complete(items, LABEL_ITEMS), complete(outcomes, LABELS)
        if items["request_id"].duplicated().any():
            raise InputError(
                f"request_id {items['request_id'][items['request_id'].duplicated()].iloc[0]!r} twice in the items", "one row a request"
            )
        quality = outcomes["quality"].to_numpy()
        if not np.all((quality >= 0) & (quality <= 1)):
            bad = outcomes[~((quality >= 0) & (quality <= 1))].iloc[0]
            raise InputError(
                f"quality {bad['quality']!r} for request {bad['request_id']!r}, model {bad['model']!r}", "a number from 0 to 1"
            )
        orphan = ~outcomes["request_id"].isin(items["request_id"])
        if orphan.any():
            raise InputError(f"outcomes for request {outcomes['request_id'][orphan].iloc[0]!r}", "a row for it in the items")
        key = ["request_id", "model", "prompt_variant", "repeat"]
        if outcomes.duplicated(key).any():
            twice = outcomes[outcomes.duplicated(key)].iloc[0]
            raise InputError(f"two outcomes for {dict(twice[key])}", "one outcome per request, model, prompt variant and repeat")
        return cls(items.reset_index(drop=True), outcomes.reset_index(drop=True), meta)

    @classmethod
    def open(cls, folder: str | Path) -> Labels:
        """Open a folder written by ``save``; InputError when it is not one."""
        fix = "run: planner read FILE --prompt COL --quality 'PATTERN*' --out FOLDER"
        (items, outcomes), payload = opened(folder, "labels", ("items", "outcomes"), fix)
        return cls(items, outcomes, payload)

    def save(self, folder: str | Path) -> Path:
        """Write the labels into ``folder`` (made if absent) and return it; InputError when it holds files of others."""
        frames = {"items": (self.items, LABEL_ITEMS), "outcomes": (self.outcomes, LABELS)}
        return saved(folder, "labels", frames, {**self.meta, "items": len(self), "outcomes": len(self.outcomes), "hash": self.hash})

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"Labels({self.text})"

    @property
    def text(self) -> str:
        """What was read, in one line: requests, answers, models, cells without a grade, and columns left out."""
        said = [f"{len(self):,} requests, {len(self.outcomes):,} graded answers of {', '.join(self.models)}"]
        if self.meta.get("ungraded_by_model"):
            said.append("without a grade: " + ", ".join(f"{m} {n:,}" for m, n in self.meta["ungraded_by_model"].items()))
        said += [f"column {name} left out: {why}" for name, why in (self.meta.get("left_out") or {}).items()]
        aside = Counter(self.meta.get("aside") or {})
        said += [f"{n:,} records left out: {why}" for why, n in aside.most_common(_SHOWN)]
        if rest := aside.total() - sum(n for _, n in aside.most_common(_SHOWN)):
            said.append(f"{rest:,} records left out for other reasons")
        return "; ".join(said)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the identity and quality of every outcome; part of a bundle's and a Summary's header."""
        rows = pd.util.hash_pandas_object(self.outcomes[["request_id", "model", "prompt_variant", "repeat", "quality"]], index=False)
        return sha256(rows.to_numpy().tobytes()).hexdigest()

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The labelled candidates, sorted."""
        return tuple(sorted(self.outcomes["model"].unique()))

    def quality(self, models: tuple[str, ...] | None = None) -> NDArray[np.float64]:
        """Mean quality over repeats of the plain prompt, shape (items, models); NaN where a model has no label."""
        plain = self.outcomes[self.outcomes["prompt_variant"] == ""]
        table = plain.pivot_table(index="request_id", columns="model", values="quality", aggfunc="mean", sort=False)
        return table.reindex(index=self.items["request_id"], columns=list(models or self.models)).to_numpy(float)

    def renamed(self, names: Mapping[str, str]) -> Labels:
        """Call models by other names, for example by the log's: ``{"gpt-5.4": "gpt-5.4-2026-03-05"}``; ``meta`` keeps which.

        Raises InputError when an old name is not labelled, or when two models would become one.
        """
        if not names:
            return self
        if unknown := sorted({*names} - {*self.models}):
            fix = did_you_mean(unknown[0], self.models)
            raise InputError(f"models={{{unknown[0]!r}: ...}}", f"a model among {', '.join(self.models)}", fix)
        outcomes = self.outcomes.assign(model=self.outcomes["model"].replace(dict(names)))
        meta = {**self.meta, "renamed": {**self.meta.get("renamed", {}), **names}}
        if without := self.meta.get("ungraded_by_model"):
            meta["ungraded_by_model"] = {names.get(m, m): n for m, n in without.items()}
        return replace(Labels.of(self.items, outcomes), meta=meta)

    def take(self, rows: NDArray[Any]) -> Labels:
        """Keep the items at ``rows`` (positions or a mask) and their outcomes."""
        items = self.items.iloc[np.flatnonzero(rows) if rows.dtype == bool else rows]
        outcomes = self.outcomes[self.outcomes["request_id"].isin(items["request_id"])]
        return Labels(items.reset_index(drop=True), outcomes.reset_index(drop=True), self.meta)


def complete(frame: pd.DataFrame, contract: Table) -> pd.DataFrame:
    """Bring ``frame`` to the columns, order and types of ``contract``, filling defaults; InputError names what is missing."""
    missing = [c.name for c in contract.columns if c.required and c.name not in frame]
    if missing:
        raise InputError(f"columns {', '.join(map(str, frame.columns))}", f"{contract.name} with {', '.join(missing)}")
    full = pd.DataFrame(index=frame.index)
    for column in contract.columns:
        full[column.name] = frame.get(column.name, column.default)
        if column.default is not None:
            full[column.name] = full[column.name].fillna(column.default)
    table: pd.DataFrame = pa.Table.from_pandas(full, contract.arrow(), preserve_index=False).to_pandas()
    return table
