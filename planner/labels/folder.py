"""Frames and a header as a folder, and back: what Labels and Answers are on disk.

In: named frames with their contracts, and a payload. Out: one Parquet file a frame and a JSON header whose name marks the folder.
Knows nothing of what the frames mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from planner import formats
from planner.errors import InputError
from planner.schema import Table
from planner.traffic.files import owned_file, refuse_foreign
from planner.traffic.written import noted

__all__ = ["opened", "saved"]


def opened(folder: str | Path, kind: str, names: tuple[str, ...], fix: str) -> tuple[list[pd.DataFrame], dict[str, Any]]:
    """Return the frames ``names`` and the header of a folder of ``kind`` that ``saved`` wrote; InputError with ``fix`` for any other."""
    path = Path(folder)
    header = path / f"{kind}.json"
    try:
        payload = json.loads(header.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}", f"a folder of {kind}", fix) from error
    payload = formats.migrate(kind, payload, str(header))
    return [pq.read_table(path / f"{name}.parquet").to_pandas() for name in names], payload


def saved(folder: str | Path, kind: str, frames: Mapping[str, tuple[pd.DataFrame, Table]], payload: Mapping[str, Any]) -> Path:
    """Write frames and header into ``folder`` (made if absent, for its owner alone; ``written`` lists it).

    InputError when it holds files of others.
    """
    path = Path(folder)
    refuse_foreign(path, f"{kind}.json", tuple(f"{name}.parquet" for name in frames))
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, (frame, table) in frames.items():
        pq.write_table(
            pa.Table.from_pandas(frame, table.arrow(), preserve_index=False), owned_file(path / f"{name}.parquet"), compression="zstd"
        )
    whole = {**payload, **formats.header(kind)}
    owned_file(path / f"{kind}.json").write_text(json.dumps(whole, indent=1, sort_keys=True, default=str) + "\n", "utf-8")
    noted(path)
    return path
