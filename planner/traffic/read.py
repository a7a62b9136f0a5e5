"""Read a log of any known format into a Traffic folder.

In: a path, a glob, a folder, or a list of them. Out: a Traffic whose accepted and quarantined rows add up to what was in
the files. Streams: one block of records is held at a time. The format is found by asking every reader; what it saw is in
``traffic.meta["detected"]``. Knows nothing of any one format.
"""

from __future__ import annotations

import gc
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from planner.errors import InputError
from planner.schema import TOKEN_BUCKETS
from planner.traffic.assemble import assemble
from planner.traffic.attempts import Item, quarantined, settle
from planner.traffic.files import Source, find, identity, refuse_foreign, short_names
from planner.traffic.handle import Traffic, TrafficWriter
from planner.traffic.join_formats import refuse_formats
from planner.traffic.join_twice import Twice
from planner.traffic.mapping import compiled, mapped
from planner.traffic.privacy import SALT, protected, salt_at
from planner.traffic.reader import Options, Reader, all_readers, reader_named
from planner.traffic.records import JOINED, Found, records
from planner.traffic.redaction import redacted
from planner.traffic.seen import Seen
from planner.traffic.unknown import other_folder, system_error, unknown
from planner.traffic.values import Rejected

__all__ = ["read", "reader_of"]

Progress: TypeAlias = Callable[[int, int], None]
_BLOCK_ROWS, _BLOCK_BYTES, _SAMPLE_FILES, _SAMPLE_ROWS = 16_384, 64 << 20, 20, 50
#: What differs from row to row in a reason: reasons that are alike but for this are counted together, by the first of them.
_PARTICULAR = re.compile(r"'[^']*'|-?\d+(\.\d+)?(e[+-]?\d+)?")
_LISTED_FILES = 1_000
#: What a reading leaves in its folder, whole or broken off.
_WRITTEN = ("traffic.json", "traffic.parquet", "quarantine.parquet", "derived")
_DAMAGE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)


def read(
    source: Source,
    format: str | Reader = "auto",
    *,
    out: str | Path | None = None,
    mapping: Mapping[str, str] | None = None,
    app_from: str | None = None,
    redact: bool = False,
    progress: Progress | None = None,
    rows_done: Callable[[int], None] | None = None,
) -> Traffic:
    """Read ``source`` and return a handle on the result.

    Parameters
    ----------
    source: a file, a glob, a folder (searched for JSON, CSV and Parquet files, plain, .gz or .zst, but for hidden folders and
        what planner wrote itself), a list of these, or a folder that ``read`` wrote before, which is opened as it is.
    format: ``auto``, the name of a reader, or a Reader.
    out: folder to write, new, empty or written by ``read`` before; by default one under ``.planner/traffic/`` named after the
        sources and options, which is used again when it is already there.
    mapping: our column → their column, ``"column*factor"``, or ``"=constant"``; wins over what the reader says.
    app_from: where a LiteLLM log says the app: ``tag:PREFIX``, ``team``, ``key``, ``model_group``, ``metadata:FIELD``. By
        default the first ``app:``, ``team:`` or ``service:`` tag, then the team's alias, then the key's, else ``default``. Other
        formats know other sources (``trace_name``, ``service``, ``attribute:NAME``, …); an unknown one lists those of the format.
    redact: e-mail addresses, telephone and card numbers, keys and tokens in texts become marks such as ``<EMAIL>``; users and sessions
        become hashes by the salt in ``.planner/salt``, made when it is not there; rows that are set aside keep their place and reason,
        but not their text. False copies texts and names as they are.
    progress: called with (bytes done, bytes in all); ``rows_done``: with how many rows are accepted or set aside by then.

    Raises InputError when nothing is found, no format fits, no record could be accepted, or ``out`` holds files of others.
    """
    try:
        return _read(source, format, out, Options(compiled(mapping), app_from, redact), progress, rows_done)
    except OSError as error:
        raise system_error(error) or error from error


def _read(
    source: Source,
    format: str | Reader,
    out: str | Path | None,
    options: Options,
    progress: Progress | None,
    rows_done: Callable[[int], None] | None,
) -> Traffic:
    if isinstance(source, str | Path):
        if (Path(source) / "traffic.json").is_file():
            return Traffic.open(source)
        if other := other_folder(Path(source)):
            raise other
    files = find(source)
    if out is None:
        out = Path(".planner") / "traffic" / identity(files, format if isinstance(format, str) else format.name, options)
        if isinstance(format, str) and (out / "traffic.json").is_file():
            return Traffic.open(out)
    reader, detected = reader_of(files, format, options)
    if format == "auto":
        refuse_formats(files, short_names(files), reader)
    reader.check(options)
    refuse_foreign(Path(out), "traffic.json", _WRITTEN)
    state = _State(reader, options, short_names(files), sum(f.stat().st_size for f in files), progress)
    state.salt, state.rows_done = salt_at(SALT) if options.redact else None, rows_done
    with TrafficWriter(out) as writer, _no_cycles():
        waiting: list[Item] = []
        for block in _blocks(files, state):
            decided, waiting = settle([*waiting, *block], last=False)
            _write(decided, state, writer)
        _write(settle(waiting, last=True)[0], state, writer)
        if not state.accepted:
            raise InputError(f"{files[0]}: {state.explain()}", reader.looks_like, "pass format= or mapping= if this is another kind of log")
        state.twice.refuse()
        return writer.close(**state.meta(detected))


@contextmanager
def _no_cycles() -> Iterator[None]:
    """Keep Python from looking for cycles among decoded records, which have none: it would look at every one of them many times."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


#: Columns that set a price.
_PRICED = frozenset({"model", "service_tier", *TOKEN_BUCKETS})


@dataclass(slots=True)
class _State:
    """What a running read knows."""

    reader: Reader
    options: Options
    names: Mapping[Path, str]
    size: int
    progress: Progress | None
    salt: bytes | None = None
    rows_done: Callable[[int], None] | None = None
    seen: Seen = field(default_factory=Seen)
    twice: Twice = field(default_factory=Twice)
    done: int = 0
    accepted: int = 0
    joined: int = 0
    per_file: dict[str, list[int]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    various: set[str] = field(default_factory=set)
    example: str = ""
    first: datetime | None = None
    last: datetime | None = None

    def explain(self) -> str:
        """Say why nothing was accepted."""
        if not self.reasons:
            return "no records"
        return f"none of {sum(self.reasons.values())} records could be accepted ({self.example})"

    def count(self, items: Iterable[Item]) -> None:
        """Add decided items to the counts."""
        for item in items:
            self.per_file[item.file][bool(item.reason)] += 1
            if item.reason:
                self.example = self.example or item.reason
                kind = _PARTICULAR.sub("…", item.reason)
                self.reasons[kind] += 1
                if self.examples.setdefault(kind, item.reason) != item.reason:
                    self.various.add(kind)
            else:
                self.accepted += 1

    def span(self, table: pa.Table) -> None:
        """Widen first and last arrival by those of accepted rows."""
        if len(table):
            times = pc.min_max(table["timestamp"])
            low, high = times["min"].as_py(), times["max"].as_py()
            self.first, self.last = min(self.first or low, low), max(self.last or high, high)

    def meta(self, detected: str) -> dict[str, Any]:
        """Return what is stored beside the counts; money that rests on a stated model, tier or token count is assumed."""
        stated = {t: f"{t} {e[1:]!r} is stated, not logged" for t, e in self.options.mapping if t in _PRICED and e.startswith("=")}
        return {
            "source_format": self.reader.name,
            "detected": detected,
            "assumed": [*(a for a in self.reader.assumed if "model" not in stated or "trace names none" not in a), *stated.values()],
            "evidence": "assumed" if stated else self.reader.evidence,
            "mapping": dict(self.options.mapping),
            "app_from": self.options.app_from,
            "redacted": self.options.redact,
            "first": self.first.isoformat() if self.first else None,
            "last": self.last.isoformat() if self.last else None,
            "joined": self.joined,
            "file_count": len(self.per_file),
            "files": {name: {"accepted": a, "quarantined": q} for name, (a, q) in islice(self.per_file.items(), _LISTED_FILES)},
            "reasons": {self.examples[k] + " (for example)" * (k in self.various): n for k, n in self.reasons.most_common(20)},
        }


def reader_of(files: Sequence[Path], format: str | Reader, options: Options) -> tuple[Reader, str]:
    """Return the reader of ``files``, and by what it was recognised; InputError where none or several fit."""
    if isinstance(format, Reader):
        return format, "format given as a Reader"
    if format != "auto":
        return reader_named(format), "format given by name"
    sample = list(islice((f.value for p in files[:_SAMPLE_FILES] for f in islice(records(p), _SAMPLE_ROWS) if f.value), _SAMPLE_ROWS))
    answers = [(r, r.sniff(sample)) for r in all_readers().values()] if sample else []
    fits = [(r, saw) for r, saw in answers if saw]
    if len(fits) == 1:
        return fits[0][0], str(fits[0][1])
    if options.mapping and sample and not fits:
        return reader_named("table"), "no known format; read by mapping"
    raise unknown(files[0], sample, [r.name for r, _ in fits])


def _blocks(files: Iterable[Path], state: _State) -> Iterator[list[Item]]:
    block: list[Item] = []
    size = 0
    gather = state.reader.gather or iter
    for name, found in gather(_found(files, state)):
        if found.problem == JOINED:
            state.joined += 1
            continue
        block.append(_item(name, found, state))
        size += found.size or (0 if callable(found.raw) else len(found.raw))
        if len(block) >= _BLOCK_ROWS or size >= _BLOCK_BYTES:
            yield block
            block, size = [], 0
    yield block
    _report(state, 0, state.size)


def _found(files: Iterable[Path], state: _State) -> Iterator[tuple[str, Found]]:
    """Yield (file name, record) of all files, in order."""
    for path in files:
        name = state.names[path]
        state.per_file[name] = [0, 0]
        for found in records(path, partial(_report, state, state.done)):
            yield name, found
        state.done += path.stat().st_size


def _report(state: _State, before: int, done: int) -> None:
    if state.progress:
        state.progress(min(before + done, state.size), state.size)


def _item(name: str, found: Found, state: _State) -> Item:
    if found.value is None:
        return Item(name, found.line, found.raw, {}, found.problem)
    try:
        row = state.reader.convert(found.value, state.options)
        if state.options.mapping and state.reader.name != "table":
            row |= mapped(found.value, state.options.mapping)
    except Rejected as error:
        return Item(name, found.line, found.raw, {}, str(error))
    except _DAMAGE as error:
        return Item(name, found.line, found.raw, {}, f"{type(error).__name__}: {error}")
    row.setdefault("request_id", f"{name}:{found.line}")
    return Item(name, found.line, found.raw, row)


def _write(items: Sequence[Item], state: _State, writer: TrafficWriter) -> None:
    """Store decided items: sound rows that are met for the first time are accepted, all others quarantined."""
    if not items:
        return
    rows = [i for i in items if not i.reason]
    table, kept, wrong = assemble([i.row for i in rows])
    for at, reason in wrong.items():
        rows[at].reason = reason
    again = state.seen.repeated(table["request_id"].to_pylist())
    for at in kept[again].tolist():
        rows[at].reason = f"request_id {rows[at].row['request_id']!r:.80} again; the first one is kept"
    sound = table.filter(pa.array(~again)) if again.any() else table
    if state.salt is not None:
        sound = protected(sound, state.salt)
        for item in items:
            item.raw, item.reason = "", redacted(item.reason)
    writer.accept(sound)
    state.twice.add(sound)
    state.span(sound)
    if set_aside := [i for i in items if i.reason]:
        writer.quarantine(quarantined(set_aside))
    state.count(items)
    if state.rows_done:
        state.rows_done(state.accepted + sum(state.reasons.values()))
