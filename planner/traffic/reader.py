"""What a reader of one log format is: a name, a way to recognise the format, and a function from record to row.

In: nothing. Out: the value ``Reader`` that every file in ``planner/traffic/readers/`` defines as ``READER`` (adding a
format is adding one file there, or passing a Reader as ``format=``), and the options a read was called with. Knows
nothing of files.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from planner.errors import InputError, did_you_mean
from planner.traffic.nests import Nest
from planner.traffic.records import Found

__all__ = ["ASSUMED", "CALL_ID", "STATED", "TOTALS", "Gather", "Options", "Reader", "Record", "Row", "all_readers", "reader_named"]

#: One record as the file had it: a JSON object, or a CSV or Parquet row by column name.
Record: TypeAlias = Mapping[str, Any]
#: One row by column of ``schema.TRAFFIC``; times in µs since 1970 UTC. Absent columns get the schema's default. It may
#: also hold TOTALS: what the source says the input and output buckets sum to, checked before the row is accepted; and
#: CALL_ID, where the log has a record per call: what all calls of one request share; and ASSUMED, true where its tokens rest on a reading
#: that nothing in the record proves: then the row's money is assumed.
Row: TypeAlias = dict[str, Any]
TOTALS = ("total_input_tokens", "total_output_tokens")
CALL_ID, ASSUMED = "call_id", "assumed"
#: How what a user states instead of the log is told among what a reading assumed: the column, its value, and this.
STATED = " is stated, not logged"
#: Kinds of ``app_from`` that take a name after a colon → what it is.
_NAMED = {"tag": "PREFIX", "metadata": "FIELD", "property": "NAME", "attribute": "NAME"}
#: (file name, record) of all files, in order → the same of what ``convert`` takes; it may hold a bounded state.
Gather: TypeAlias = Callable[[Iterator[tuple[str, Found]]], Iterator[tuple[str, Found]]]
#: One record → those in it, and how they lie in each other (None where none does): the same for each record alone.
Opens: TypeAlias = Callable[[Found], tuple[list[Found], Nest | None]]


@dataclass(frozen=True, slots=True)
class Options:
    """How a log is read: ``mapping`` as (column, expression) pairs, where the app comes from, what stays outside (``privacy.Door``).

    ``allow_twice`` says that calls which look alike in pairs are calls of their own (``join_twice``).
    """

    mapping: tuple[tuple[str, str], ...] = ()
    app_from: str | None = None
    redact: bool = False
    text: bool = False
    allow_twice: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """One log format.

    Parameters
    ----------
    name: what ``format=`` calls it.
    looks_like: one line for error messages: how to recognise such a file.
    sniff: (sample records) → what it saw, or None when this is another format.
    convert: (record, options) → row. Raise ``values.Rejected`` with the reason to quarantine the record; a missing key
        or a wrong type does the same.
    assumed: what the reader fills in because the format does not say; shown to the user.
    app_sources: the kinds of ``app_from`` it understands.
    opens: (record) → the calls in it, and how they lie in each other, where a record holds several.
    gather: what becomes of the records of the files before ``convert``, where they are not calls one by one. ``sniff`` is asked first.
    evidence: ``assumed`` where the reader fills in what sets a price, so that every dollar says so.
    """

    name: str
    looks_like: str
    sniff: Callable[[Sequence[Record]], str | None]
    convert: Callable[[Record, Options], Row]
    assumed: tuple[str, ...] = ()
    app_sources: tuple[str, ...] = ()
    gather: Gather | None = None
    opens: Opens | None = None
    evidence: str = "measured"

    def check(self, options: Options) -> None:
        """Raise InputError when ``options`` ask for something that this format does not have."""
        if options.app_from is None:
            return
        kind, _, name = options.app_from.partition(":")
        if kind not in self.app_sources or bool(name) != (kind in _NAMED):
            known = ", ".join(f"{source}:{_NAMED[source]}" if source in _NAMED else source for source in self.app_sources)
            expected = f"what names the app there: {known}" if known else "nothing, as this format names no app"
            raise InputError(
                f"app_from={options.app_from!r} for {self.name}", expected, "or give all requests the same app: mapping={'app': '=NAME'}"
            )


@lru_cache(maxsize=1)
def all_readers() -> dict[str, Reader]:
    """Return every reader in ``planner.traffic.readers`` by name, in order of file name."""
    from planner.traffic import readers  # the folder is looked at only when something is read

    names = sorted(m.name for m in pkgutil.iter_modules(readers.__path__))
    found: list[Reader] = [importlib.import_module(f"{readers.__name__}.{n}").READER for n in names]
    return {r.name: r for r in found}


def reader_named(name: str) -> Reader:
    """Return the reader called ``name``; InputError lists the known ones."""
    known = all_readers()
    if name not in known:
        raise InputError(
            f"format {name!r}", f"auto or one of {', '.join(known)}", did_you_mean(name, known) or "leave format out to detect it"
        )
    return known[name]
