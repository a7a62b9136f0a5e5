"""Tables → tables that keep a contract of ``schema``: all its columns, in its order and types, defaults filled in.

In: a table with some of the columns. Out: one with all of them. Knows nothing of what the columns mean, and imports what every process that
reads a part of a log can afford.
"""

from __future__ import annotations

import pyarrow as pa

from planner.errors import InputError
from planner.schema import Table

__all__ = ["complete"]


def complete(table: pa.Table, contract: Table) -> pa.Table:
    """Bring ``table`` to the columns, order and types of ``contract``, filling defaults; extra columns are an error."""
    given = set(table.column_names)
    extra = sorted(given - set(contract.names))
    if extra:
        raise InputError(f"columns {', '.join(extra)}", f"columns of {contract.name}: {', '.join(contract.names)}")
    columns = []
    schema = contract.arrow()
    for column, target in zip(contract.columns, schema, strict=True):
        if column.name in given:
            values = table[column.name]
            values = values if values.type == target.type else values.cast(target.type)
            if column.default is not None and values.null_count:
                values = values.fill_null(pa.scalar(column.default, target.type))
        elif column.required:
            raise InputError(f"no column {column.name}", f"every required column of {contract.name}")
        else:
            values = pa.chunked_array([pa.repeat(pa.scalar(column.default, target.type), len(table))])
        columns.append(values)
    return pa.Table.from_arrays(columns, schema=schema)
