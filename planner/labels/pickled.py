"""A table that somebody pickled, as RouterBench is published: read without ever unpickling it in this process.

In: a path. Out: the table, converted by a process of its own (``unpickle.py``) that has nothing of this one's environment. Knows nothing of
what the columns mean.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow.parquet as pq

from planner.errors import InputError

__all__ = ["is_pickle", "pickled_table"]

_PROTOCOLS = tuple(bytes((0x80, n)) for n in range(2, 6))
_SECONDS, _REASON_CHARS = 900, 200
_FIX = "do not open it by other means unless you trust its author; ask for Parquet or CSV"


def is_pickle(path: Path) -> bool:
    """Return whether a file begins as pickles of protocols 2 to 5 do."""
    with path.open("rb") as file:
        return file.read(2) in _PROTOCOLS


def pickled_table(path: Path) -> pd.DataFrame:
    """Return the table in a pickle; InputError where it holds anything but a table of pandas."""
    script = Path(__file__).with_name("unpickle.py")
    with TemporaryDirectory(prefix="planner-") as folder:
        target = Path(folder) / "table.parquet"
        command = [sys.executable, "-I", str(script), str(path.resolve()), str(target)]
        try:
            ran = subprocess.run(command, cwd=folder, env={}, capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise InputError(
                f"{path}: a pickle that takes longer than {_SECONDS // 60} minutes", "a table pickled by pandas", _FIX
            ) from None
        if ran.returncode or not target.is_file():
            said = ran.stderr.decode("utf-8", "replace").strip().splitlines()
            why = "".join(c for c in said[-1] if c.isprintable())[:_REASON_CHARS] if said else f"its process ended with {ran.returncode}"
            raise InputError(f"{path}: a pickle that was not opened ({why})", "a table pickled by pandas", _FIX)
        frame: pd.DataFrame = pq.read_table(target).to_pandas()
        return frame
