"""Forget a user in a folder of Labels: the requests of theirs go, and every answer to them.

In: a folder of saved Labels and the names under which the user may stand in it. Out: how many requests went; the folder is replaced in one
step. Knows nothing of logs.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from planner.labels.table import Labels
from planner.traffic.forget import replaced

__all__ = ["forget_labels"]


def forget_labels(folder: Path, names: Sequence[str]) -> int:
    """Remove the requests of the user with these ``names`` from the Labels in ``folder``; return how many went."""
    labels = Labels.open(folder)
    theirs = labels.items["user"].isin(names)
    if theirs.any():
        items = labels.items[~theirs].reset_index(drop=True)
        outcomes = labels.outcomes[labels.outcomes["request_id"].isin(items["request_id"])].reset_index(drop=True)
        left = replace(labels, items=items, outcomes=outcomes)
        replaced(folder, lambda part: _beside(folder, left.save(part), labels.items["request_id"][theirs]))
    return int(theirs.sum())


def _beside(folder: Path, part: Path, gone: pd.Series[str]) -> None:
    """Take over what else lies in the folder, tables without the requests that are ``gone``."""
    for file in sorted(f for f in folder.iterdir() if f.is_file() and not (part / f.name).exists()):
        table = pq.read_table(file) if file.suffix == ".parquet" else None
        if table is None or "request_id" not in table.column_names:
            shutil.copy2(file, part / file.name)
        else:
            pq.write_table(table.filter(pc.invert(pc.is_in(table["request_id"], pa.array(gone)))), part / file.name, compression="zstd")
