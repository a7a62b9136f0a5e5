"""Run as a process of its own: a table pickled by pandas → a Parquet file, and nothing else that a pickle may ask for.

In: the path of a pickle, and the path to write. Out: the table with its columns as numbers, booleans or text; otherwise an end with one
sentence on stderr. A pickle is a program: this one may call only what rebuilds a table, and has a bounded share of memory and time.
Imports nothing of planner, so that it starts with no more than it needs.
"""

from __future__ import annotations

import pickle
import sys
from typing import Any

import numpy as np
import pandas as pd
import pandas.api.types as kinds

__all__ = ["ALLOWED", "main"]

_MEMORY_BYTES, _CPU_SECONDS = 8 << 30, 600
#: All that pickled tables name, from pandas 1.3 and numpy 1.20 on: classes and functions that rebuild arrays.
ALLOWED = frozenset(
    {
        *(("builtins", n) for n in ("slice", "bytearray")),
        ("_codecs", "encode"),
        *(("numpy", n) for n in ("dtype", "ndarray")),
        *(("numpy._core.multiarray", n) for n in ("_reconstruct", "scalar")),
        ("numpy._core.numeric", "_frombuffer"),
        *(("pandas", n) for n in ("DataFrame", "Index", "RangeIndex", "Categorical", "CategoricalDtype", "StringDtype", "NA")),
        ("pandas.arrays", "ArrowStringArray"),
        ("pandas.core.frame", "DataFrame"),
        *(("pandas.core.indexes.base", n) for n in ("_new_Index", "Index")),
        ("pandas.core.indexes.range", "RangeIndex"),
        ("pandas.core.internals.managers", "BlockManager"),
        ("pandas._libs.internals", "_unpickle_block"),
        ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
        *(("pyarrow.lib", n) for n in ("_restore_array", "py_buffer", "type_for_alias")),
    }
)
#: Names that older versions wrote → today's.
_MOVED = {
    **{("__builtin__", n): ("builtins", n) for n in ("slice", "bytearray")},
    ("pandas.core.internals.blocks", "new_block"): ("pandas._libs.internals", "_unpickle_block"),
    **{("pandas.core.indexes.numeric", f"{n}Index"): ("pandas.core.indexes.base", "Index") for n in ("Int64", "UInt64", "Float64")},
}


class _Tables(pickle.Unpickler):
    """An unpickler that knows tables only."""

    def find_class(self, module: str, name: str) -> Any:
        found = _MOVED.get((module, name), (module.replace("numpy.core.", "numpy._core."), name))
        if found not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which rebuilds no table")
        return super().find_class(*found)


def main(source: str, target: str) -> None:
    """Convert the pickle ``source`` into the Parquet file ``target``; exit with the reason where it is no table."""
    _bound()
    try:
        with open(source, "rb") as file:  # noqa: PTH123 - this process does without what it need not import
            frame = _Tables(file).load()
        if not isinstance(frame, pd.DataFrame):
            raise pickle.UnpicklingError(f"it holds a {type(frame).__name__}, not a table")
        pd.DataFrame({str(name): _plain(frame.iloc[:, i]) for i, name in enumerate(frame.columns)}).to_parquet(target, index=False)
    except Exception as error:  # whatever a damaged pickle leads to, said in one sentence
        sys.exit(str(error) or type(error).__name__)


def _plain(column: pd.Series[Any]) -> Any:
    """Return a column as numbers or booleans, everything else as text."""
    if kinds.is_bool_dtype(column) or kinds.is_numeric_dtype(column):
        return column.to_numpy()
    cells = [None if kinds.is_scalar(v) and pd.isna(v) else v for v in column.tolist()]
    simple = all(v is None or isinstance(v, bool | int | float | np.generic) for v in cells)
    return cells if simple else [None if v is None else str(v) for v in cells]


def _bound() -> None:
    """Bound memory and time, where the system can."""
    try:
        import resource  # not on Windows
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))


if __name__ == "__main__":
    main(*sys.argv[1:])
