"""Work: what is to be asked of which models, on disk, so that asking can stop and go on.

In: the requests chosen, the asks (request × model) with their prices, and the answers that the log has already. Out: the same as a
folder that only its owner may read, since it holds prompts. Knows nothing of how requests were chosen or how models are asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from planner import formats
from planner.errors import InputError
from planner.labels.answers import ANSWERS
from planner.labels.table import complete
from planner.schema import LABEL_ITEMS, Column, Table
from planner.traffic.files import refuse_foreign

__all__ = ["ASKS", "JOURNAL", "WORK_ITEMS", "Work", "ask_id"]

#: The file in the folder to which a run appends.
JOURNAL = "journal.jsonl"
WORK_ITEMS = Table(
    "work_items",
    (
        *LABEL_ITEMS.columns,
        Column("probability", "double", "with which this item was drawn", required=True),
        Column("requests", "int64", "logged requests that it stands for by itself: its session's turns and near duplicates", required=True),
        Column("stake_usd", "double", "[USD] spent on them beyond the price of the cheapest candidate", required=True),
    ),
)
ASKS = Table(
    "asks",
    (
        Column("ask_id", "string", "unique; the custom_id of a batch and the idempotency key of a call", required=True),
        Column("request_id", "string", "an item", required=True),
        Column("model", "string", "who is asked", required=True),
        Column("provider", "string", "who serves it", required=True),
        Column("input_tokens", "int64", "[tokens] expected: as today's provider counted them", required=True),
        Column("output_tokens", "int64", "[tokens] expected: assumed as long as today's answer", required=True),
        Column("limit_tokens", "int64", "[tokens] the most that may be answered; sent with the call", required=True),
        Column("price_pusd", "int64", "[pUSD] expected", required=True),
        Column("at_most_pusd", "int64", "[pUSD] that no answer within the limit exceeds", required=True),
    ),
)
_TABLES = (("items", WORK_ITEMS), ("asks", ASKS), ("logged", ANSWERS))


def ask_id(request_id: str, model: str) -> str:
    """Return a name of 32 hexadecimal digits for asking ``model`` about a request, the same wherever it is made.

    >>> ask_id("chatcmpl-1", "gpt-5-mini")
    'bc798ee334edbd7ba71d5054ce9dd4a9'
    """
    return blake2b(f"{request_id}\x1f{model}".encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, eq=False)
class Work:
    """``items`` (WORK_ITEMS), ``asks`` (ASKS, in the order in which they are made) and ``logged`` (ANSWERS of today's models).

    >>> Work.open("nowhere")
    Traceback (most recent call last):
        ...
    planner.errors.InputError: Got nowhere; expected a work folder. Run: planner labels sample LOG --candidate MODEL --out FOLDER.
    """

    items: pd.DataFrame = field(repr=False)
    asks: pd.DataFrame = field(repr=False)
    logged: pd.DataFrame = field(repr=False)
    meta: Mapping[str, Any] = field(default_factory=dict, repr=False)
    folder: Path | None = None

    @classmethod
    def of(cls, items: pd.DataFrame, asks: pd.DataFrame, logged: pd.DataFrame, **meta: Any) -> Work:
        """Bring the tables to their columns and types."""
        return cls(complete(items, WORK_ITEMS), complete(asks, ASKS), complete(logged, ANSWERS), meta)

    @classmethod
    def open(cls, folder: str | Path) -> Work:
        """Open a folder written by ``save``; InputError when it is not one."""
        path = Path(folder)
        try:
            payload = json.loads((path / "work.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            fix = "run: planner labels sample LOG --candidate MODEL --out FOLDER"
            raise InputError(f"{path}", "a work folder", fix) from error
        payload = formats.migrate("label_work", payload, str(path / "work.json"))
        tables = {name: pq.read_table(path / f"{name}.parquet").to_pandas() for name, _ in _TABLES}
        return cls(**tables, meta=payload, folder=path)

    def save(self, folder: str | Path) -> Work:
        """Write into ``folder``, made for its owner alone; InputError when it holds others' files, or a run's answers already."""
        path = Path(folder)
        refuse_foreign(path, "work.json", tuple(f"{name}.parquet" for name, _ in _TABLES))
        if (path / JOURNAL).exists():
            raise InputError(f"{path}, which holds answers that were paid for", "a new folder", "choose another with --out")
        asks = path / "asks.parquet"
        if asks.is_file() and pq.read_table(asks, columns=["ask_id"])["ask_id"].to_pylist() != self.asks["ask_id"].tolist():
            raise InputError(
                f"{path}, which holds another draw whose answers may be on their way", "a new folder", "choose another with --out"
            )
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(0o700)
        for name, table in _TABLES:
            file = path / f"{name}.parquet"
            file.touch(mode=0o600)
            pq.write_table(pa.Table.from_pandas(getattr(self, name), table.arrow(), preserve_index=False), file, compression="zstd")
        payload = {**self.meta, **formats.header("label_work"), "items": len(self.items), "asks": len(self.asks)}
        (path / "work.json").write_text(json.dumps(payload, indent=1, sort_keys=True, default=str) + "\n", "utf-8")
        return Work(self.items, self.asks, self.logged, payload, path)

    def __repr__(self) -> str:
        return f"Work({len(self.items):,} requests, {len(self.asks):,} answers to ask for)"
