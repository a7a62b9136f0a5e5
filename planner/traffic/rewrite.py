"""Rewrite: a log once more in another folder, piece by piece, with some of its columns or rows changed.

In: a Traffic, where to write, and what becomes of each piece. Out: a Traffic with the same header and, if not asked
otherwise, quarantine. Knows nothing of why.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from planner.errors import InputError
from planner.schema import QUARANTINE, TRAFFIC
from planner.traffic.files import refuse_foreign
from planner.traffic.handle import Traffic, TrafficWriter

__all__ = ["rewritten"]

_ROWS = 65_536
_WRITTEN = ("traffic.json", "traffic.parquet", "quarantine.parquet", "derived")


def rewritten(
    traffic: Traffic,
    out: str | Path,
    change: Callable[[pa.Table, NDArray[np.int64]], pa.Table],
    *,
    aside: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    **meta: Any,
) -> Traffic:
    """Write ``traffic`` into the folder ``out`` with ``meta`` laid over its header.

    ``change`` is given consecutive pieces and the positions (k,) of their rows, and returns what is written of them; ``aside``, where it
    is given, does the same with the quarantine. InputError when ``out`` is the log itself, or holds files of others.
    """
    folder = Path(out)
    if folder.resolve() == traffic.folder.resolve():
        raise InputError(f"out={folder}, which is the log itself", "a folder of its own", "choose another folder with --out")
    refuse_foreign(folder, "traffic.json", _WRITTEN)
    start = 0
    with TrafficWriter(folder) as writer:
        waiting: list[pa.Table] = []
        for batch in traffic.batches(TRAFFIC.names, _ROWS):
            waiting.append(change(pa.Table.from_batches([batch]), np.arange(start, start + len(batch))))
            start += len(batch)
            if sum(map(len, waiting)) >= _ROWS:
                writer.accept(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.accept(pa.concat_tables(waiting))
        kept = traffic.quarantine if aside is None else aside(traffic.quarantine)
        writer.quarantine(pa.Table.from_pandas(kept, QUARANTINE.arrow(), preserve_index=False))
        own = {k: v for k, v in traffic.meta.items() if k not in ("accepted", "quarantined", "hash")}
        return writer.close(**{**own, **meta})
