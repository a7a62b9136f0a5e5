"""A file of an invoice → its layout and its records.

In: a CSV file, and perhaps which of its columns is which of ours. Out: the layout that its header has, and every record with its line, as
header → text, or with the reason why it cannot be read; InputError for what is no such file. Numbers with a decimal comma are set aside,
and so are those that may have one by what else stands in their column: read as thousands they would be a thousand times too much. Columns
of words decide nothing. Knows nothing of charges.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.errors import InputError, did_you_mean
from planner.prices.invoice_formats import FORMATS, Layout
from planner.prices.invoice_names import KINDS

__all__ = ["Record", "opened"]

_OURS = ("date", "end", "provider", "model", "usd", "list_usd", "currency", "kind", "requests", *(f"{kind}_tokens" for kind in KINDS))
#: Columns that hold numbers, by our names and those of the known exports.
_NUMBERS = frozenset(
    {
        *("usd", "list_usd", "requests", *(f"{kind}_tokens" for kind in KINDS)),
        *("amount_value", "quantity", "num_model_requests", "input_tokens", "input_cached_tokens", "output_tokens"),
        *("cost_usd", "list_price_usd", "usage_input_tokens_no_cache", "usage_input_tokens_cache_read", "usage_output_tokens"),
        *("usage_input_tokens_cache_write_5m", "usage_input_tokens_cache_write_1h"),
        *("billedcost", "effectivecost", "listcost", "contractedcost", "consumedquantity"),
    }
)
_HOW_TO_MAP = (
    "columns={'date': 'Day', 'usd': 'Amount', 'provider': '=openai'}, in the shell --invoice-map date=Day --invoice-map usd=Amount "
    "--invoice-map provider==openai"
)
_SIGN = r"[-+−]?\$?\s*"
#: 12,5 and 1.250,50; also 1,250, which may be either.
_DECIMAL_COMMA = re.compile(rf"{_SIGN}(?:\d*|\d{{1,3}}(?:\.\d{{3}})+),\d+", re.ASCII)
_THOUSANDS_COMMA = re.compile(rf"{_SIGN}[1-9]\d{{0,2}},\d{{3}}", re.ASCII)
_THOUSANDS_POINT = re.compile(rf"{_SIGN}[1-9]\d{{0,2}}(?:\.\d{{3}})+", re.ASCII)
#: 12.5, 0.132 and 1,234.50; 1.250 may be thousands.
_DECIMAL_POINT = re.compile(rf"(?!{_THOUSANDS_POINT.pattern}$){_SIGN}[\d,]*\.\d+", re.ASCII)
_COMMA = "a number with a decimal comma, or that may have one: write 1234.5"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a file: ``cells`` by our names or the header's, in lower case; none, and a ``problem``, where it cannot be read.

    ``mark`` is the same of two lines with the same cells under the same header, in whatever order.
    """

    line: int
    cells: Mapping[str, str]
    text: str
    mark: int
    problem: str = ""


def opened(file: Path, columns: Mapping[str, str] | None) -> tuple[Layout, Iterator[Record]]:
    """Return a file's layout and its records; ``columns``: ours → theirs, or ``=CONSTANT``. InputError for what is no such file."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}", "a readable CSV file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: bytes that are not UTF-8", "a CSV file, unpacked") from error
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    lines = _lines(text, delimiter)
    _, names = next(lines, (0, []))
    if isinstance(names, str):
        raise InputError(f"{file}: {names}", "a CSV file")
    header = [name.strip().lower() for name in names]
    if not any(header) or len(set(header)) != len(header):
        raise InputError(f"{file}: header {', '.join(header)[:200]!r}", "a CSV file whose first line names each column once")
    layout, rename = (FORMATS[-1], _mapped(file, header, columns)) if columns else (_recognised(file, header), {})
    numbers = {source.lower() for name, source in rename.items() if name in _NUMBERS} if rename else _NUMBERS
    commas = _comma_columns(_lines(text, delimiter), [i for i, name in enumerate(header) if name in numbers], delimiter)
    return layout, (_record(line, cells, header, rename, commas) for line, cells in lines)


def _lines(text: str, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the cells of every line that has any, with its number; why not, where it is no CSV."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, str(error)
            continue
        if reader.line_num == 1 or any(cell.strip() for cell in cells):
            yield reader.line_num, cells


def _comma_columns(lines: Iterator[tuple[int, list[str] | str]], numbers: Sequence[int], delimiter: str) -> list[int]:
    """Return which of the columns ``numbers`` may have decimal commas: those with one; where any has one, those without a decimal point.

    >>> lines = [(2, ["0,5", "12.345", "12.345"]), (3, ["7", "7.10", "7"])]
    >>> _comma_columns(iter(lines), [0, 1, 2], ";"), _comma_columns(iter(lines), [1, 2], ";")
    ([0, 2], [])
    """
    commas, points = set(), set()
    for _, cells in lines:
        for i in numbers:
            if isinstance(cells, str) or i >= len(cells):
                continue
            if _decimal_comma(cells[i], delimiter):
                commas.add(i)
            elif _DECIMAL_POINT.fullmatch(cells[i].strip()):
                points.add(i)
    return [i for i in numbers if i in commas or i not in points] if commas else []


def _record(line: int, cells: list[str] | str, header: list[str], rename: Mapping[str, str], commas: Sequence[int]) -> Record:
    if isinstance(cells, str):
        return Record(line, {}, "", 0, "no CSV")
    text = ",".join(cell for cell in cells if cell)[:200]
    if len(cells) != len(header):
        return Record(line, {}, text, 0, f"{len(cells)} fields where the header has {len(header)}")
    if any(_DECIMAL_COMMA.fullmatch(cell) or _THOUSANDS_POINT.fullmatch(cell) for cell in (cells[i].strip() for i in commas)):
        return Record(line, {}, text, 0, _COMMA)
    theirs = dict(zip(header, cells, strict=True))
    ours = {name: source[1:] if source.startswith("=") else theirs[source.lower()] for name, source in rename.items()}
    return Record(line, ours or theirs, text, hash(frozenset((name, cell.strip()) for name, cell in theirs.items())))


def _decimal_comma(cell: str, delimiter: str) -> bool:
    """Say whether a cell is a number with a decimal comma.

    1,250 may be either; it is taken for one where commas do not separate the cells, since who has decimal commas cannot use them there.

    >>> [_decimal_comma(x, ",") for x in ("0,132", "12,5", "1.234,56", "1,250", "1,234.50", "gpt-5, input")]
    [True, True, True, False, False, False]
    >>> _decimal_comma("1,250", ";"), _decimal_comma("1,234,567", ";")
    (True, False)
    """
    plain = cell.strip()
    if "," not in plain or not _DECIMAL_COMMA.fullmatch(plain):
        return False
    return delimiter != "," or not _THOUSANDS_COMMA.fullmatch(plain)


def _recognised(file: Path, header: list[str]) -> Layout:
    for layout in FORMATS:
        if layout.needs <= set(header):
            return layout
    known = "; ".join(f"{layout.name}: {', '.join(sorted(layout.needs))}" for layout in FORMATS)
    fix = f"say what its columns are: {_HOW_TO_MAP}"
    raise InputError(f"{file}: columns {', '.join(header)[:300]}", f"those of a known export ({known})", fix)


def _mapped(file: Path, header: list[str], columns: Mapping[str, str]) -> Mapping[str, str]:
    for ours, theirs in columns.items():
        if ours not in _OURS:
            raise InputError(f"column {ours!r} of ours", f"one of {', '.join(_OURS)}", did_you_mean(ours, _OURS))
        if not theirs.startswith("=") and theirs.lower() not in header:
            raise InputError(f"{file}: no column {theirs!r}", f"one of {', '.join(header)}", did_you_mean(theirs.lower(), header))
    missing = sorted(FORMATS[-1].needs - set(columns))
    if missing:
        raise InputError(f"columns without {', '.join(missing)}", "at least date, provider and usd", f"for example {_HOW_TO_MAP}")
    return columns
