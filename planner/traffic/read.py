"""Read a log of any known format into a Traffic folder.

In: a path, a glob, a folder, or a list of them. Out: a Traffic whose accepted and quarantined rows add up to what was in
the files. Streams: one block of records is held at a time. The format is found by asking every reader; what it saw is in
``traffic.meta["detected"]``. Knows nothing of any one format.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from planner.errors import InputError
from planner.schema import TOKEN_BUCKETS
from planner.traffic.accept import Acceptance, Share
from planner.traffic.crew import pieces
from planner.traffic.files import Source, find, identity, print_of, refuse_foreign, short_names
from planner.traffic.handle import Traffic, TrafficWriter
from planner.traffic.join_formats import refuse_formats
from planner.traffic.kept import PARTS, Kept
from planner.traffic.mapping import compiled
from planner.traffic.nests import Around
from planner.traffic.opening import Input
from planner.traffic.pieces import Again, Converter, Piece, innermost
from planner.traffic.privacy import Door
from planner.traffic.reader import STATED, TOTALS, Options, Reader, all_readers, reader_named
from planner.traffic.records import Found, Unopened, founds, parts, records, text_bytes
from planner.traffic.reopened import prints_of_files, reopened
from planner.traffic.unknown import interrupted, other_folder, read_before, refused, system_error, unknown

__all__ = ["read", "reader_of"]

Progress: TypeAlias = Callable[[int, int], None]
_BLOCK_ROWS, _BLOCK_BYTES, _SAMPLE_FILES, _SAMPLE_ROWS = 16_384, 64 << 20, 20, 50
#: Records of a part that is not lines.
_PART_ROWS = 2_048
#: What a reading leaves in its folder, whole or broken off.
_WRITTEN = ("traffic.json", "traffic.parquet", "quarantine.parquet", "derived", PARTS)
#: Of fewer bytes it is not worth while to keep what was converted so far.
_KEPT_BYTES = 1 << 30


def read(
    source: Source,
    format: str | Reader = "auto",
    *,
    out: str | Path | None = None,
    mapping: Mapping[str, str] | None = None,
    app_from: str | None = None,
    redact: bool = False,
    text: bool = False,
    allow_twice: bool = False,
    progress: Progress | None = None,
    rows_done: Callable[[int], None] | None = None,
) -> Traffic:
    """Read ``source`` and return a handle on the result.

    Parameters
    ----------
    source: a file, a glob, a folder (searched for JSON, CSV and Parquet files, plain, .gz or .zst, but for hidden folders and
        what planner wrote itself), a list of these, or a folder that ``read`` wrote before, which is opened as it is: what else is
        asked for it must be already.
    format: ``auto``, the name of a reader, or a Reader.
    out: folder to write, new, empty or written by ``read`` before; by default one under ``.planner/traffic/`` named after the
        sources and options, which is used again when it is already there.
    mapping: our column → their column, ``"column*factor"``, or ``"=constant"``; wins over what the reader says.
    app_from: where a LiteLLM log says the app: ``tag:PREFIX``, ``team``, ``key``, ``model_group``, ``metadata:FIELD``. By
        default the first ``app:``, ``team:`` or ``service:`` tag, then the team's alias, then the key's, else ``default``. Other
        formats know other sources (``trace_name``, ``service``, ``attribute:NAME``, …); an unknown one lists those of the format.
    redact: e-mail addresses, telephone and card numbers, keys and tokens become marks such as ``<EMAIL>`` in every column of free words;
        users and sessions become hashes by the salt in ``.planner/salt``, made when it is not there, in their tags, too. False copies
        names, and texts that are asked for, as they are.
    text: True copies prompts and answers into the folder, which its owner alone can read: training a router, similar questions and
        compression need them. False leaves them in the log (``text_state`` none); a whole prompt leaves a salted hash in ``cache_key``,
        so that questions asked again are still known. Without text, or redacted, rows that are set aside keep their place and reason.
    allow_twice: calls that look alike in pairs are calls of their own, such as two parts of a document; False refuses a log in which half
        of the calls have a double, since two logs of the same calls that are read as one look so.
    progress: called with (bytes done, bytes in all); ``rows_done``: with how many rows are accepted or set aside by then.

    Raises InputError when nothing is found, no format fits, no record could be accepted, the same calls are there twice, or ``out`` holds
    files of others.
    """
    try:
        return _read(source, format, out, Options(compiled(mapping), app_from, redact, text, allow_twice), progress, rows_done)
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
            return reopened(Path(source), format if isinstance(format, str) else format.name, out, options)
        if other := other_folder(Path(source)):
            raise other
    elif folder := next((p for p in map(Path, source) if (p / "traffic.json").is_file()), None):
        raise read_before(folder)
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
    door = Door.of(options)
    names, size = door.names(short_names(files)), sum(f.stat().st_size for f in files)
    keeps = size >= _KEPT_BYTES and not door.redact and all_readers().get(reader.name) is reader
    key = f"{identity(files, reader.name, options)} {door.print}" if keeps else None
    with TrafficWriter(out) as writer, _kept(Path(out), key) as kept, _no_cycles():
        taken = Acceptance(writer, door, rows_done)
        convert = Converter(reader, options, door)
        parts = _parts(files, names, reader, taken, partial(_report, progress, size))
        for block in _blocks(pieces(parts, convert, kept, sum(map(text_bytes, files))), convert, taken):
            taken.add(block)
        taken.add((), last=True)
        if not taken.accepted:
            raise refused(files, taken.explain(), reader.looks_like)
        if not options.allow_twice:
            taken.twice.refuse()
        return writer.close(**_meta(reader, options, detected, files), **taken.meta())


@contextmanager
def _kept(folder: Path, key: str | None) -> Iterator[Kept]:
    """Keep what is converted until the reading is over, well or refused; what is to stay outside is never kept."""
    kept = Kept(folder, key)
    over = False
    try:
        yield kept
        over = True
    except InputError:
        over = True
        raise
    except KeyboardInterrupt as error:
        error.add_note(interrupted(folder, key is not None))
        raise
    finally:
        kept.close(over)


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


#: Columns that set a price, or how many tokens have it.
_PRICED = frozenset({"provider", "model", "service_tier", "timestamp", "cache_hit", *TOKEN_BUCKETS, *TOTALS})


def _meta(reader: Reader, options: Options, detected: str, files: Sequence[Path]) -> dict[str, Any]:
    """Return what is stored beside the counts; money that rests on what sets a price and is stated is assumed."""
    stated = {t: f"{t} {e[1:]!r}{STATED}" for t, e in options.mapping if t in _PRICED and e.startswith("=")}
    return {
        "source_format": reader.name,
        "detected": detected,
        "assumed": [*(a for a in reader.assumed if "model" not in stated or "trace names none" not in a), *stated.values()],
        "evidence": "assumed" if stated else reader.evidence,
        "mapping": dict(options.mapping),
        "app_from": options.app_from,
        "redacted": options.redact,
        "text": options.text,
        "allow_twice": options.allow_twice,
        "log": print_of(files),
        "private": prints_of_files(files) if options.redact else [],
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


def _parts(
    files: Iterable[Path], names: Mapping[Path, str], reader: Reader, taken: Acceptance, report: Callable[[int], None]
) -> Iterator[tuple[str, Input]]:
    """Yield (file name, part) of all files, in order."""
    if reader.gather is None or reader.opens is not None:
        yield from _gathered(_named(files, names, taken, report))
        return
    records_of = ((name, found) for name, part in _named(files, names, taken, report) for found in founds(part))
    yield from _gathered(reader.gather(records_of))


def _gathered(pairs: Iterator[tuple[str, Unopened | Found]]) -> Iterator[tuple[str, Input]]:
    """Put records that follow one another in a file together; those that are not opened are together already."""
    for (name, opened), some in groupby(pairs, lambda pair: (pair[0], isinstance(pair[1], Found))):
        if opened:
            while held := [part for _, part in islice(some, _PART_ROWS) if isinstance(part, Found)]:
                yield name, held
        else:
            yield from ((name, part) for _, part in some if not isinstance(part, Found))


def _named(
    files: Iterable[Path], names: Mapping[Path, str], taken: Acceptance, report: Callable[[int], None]
) -> Iterator[tuple[str, Unopened | Found]]:
    before = 0
    for path in files:
        taken.per_file[names[path]] = [0, 0]
        for part in parts(path, partial(_ahead, report, before)):
            yield names[path], part
        before += path.stat().st_size
    report(before)


def _ahead(report: Callable[[int], None], before: int, done: int) -> None:
    report(before + done)


def _report(progress: Progress | None, size: int, done: int) -> None:
    if progress:
        progress(min(done, size), size)


def _blocks(made: Iterator[tuple[Piece, Input]], convert: Converter, taken: Acceptance) -> Iterator[list[Share]]:
    """Yield what is decided together: so many records, or so many bytes."""
    block: list[Share] = []
    rows = size = 0
    around = Around()
    for piece, given in made:
        taken.joined += piece.joined
        taken.text_left += piece.text_left
        again = Again(convert, piece, given)
        piece = innermost(piece, around, again)
        start = 0
        while start < len(piece):
            sizes = np.cumsum(piece.sizes[start : start + _BLOCK_ROWS - rows])
            stop = start + min(int(np.searchsorted(sizes, _BLOCK_BYTES - size)) + 1, len(sizes))
            block.append(Share(piece, start, stop, again))
            rows, size = rows + stop - start, size + int(sizes[stop - start - 1])
            start = stop
            if rows >= _BLOCK_ROWS or size >= _BLOCK_BYTES:
                yield block
                block, rows, size = [], 0, 0
    yield block
