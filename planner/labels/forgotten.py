"""Forget a user in a folder of Labels: the requests of theirs go, and every answer to them.

In: a folder of saved Labels and the names under which the user may stand in it. Out: how many requests went; the folder's tables are
replaced all or none. Knows nothing of logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from planner.labels.table import Labels
from planner.traffic.files import owned_file
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
    """Write the other tables of the folder without the requests that are ``gone``."""
    for file in sorted(f for f in folder.glob("*.parquet") if not (part / f.name).exists()):
        table = pq.read_table(file)
        if "request_id" in table.column_names:
            left = table.filter(pc.invert(pc.is_in(table["request_id"], pa.array(gone))))
            pq.write_table(left, owned_file(part / file.name), compression="zstd")
