"""How verbs speak: parts that are a sentence or a table for people and a value for programs, and progress on stderr.

In: values, and how a person should see them. Out: text of at most 100 columns and tables as wide as the terminal, or one JSON object on
stdout. Knows nothing of what is said.
"""

from __future__ import annotations

import itertools
import json
import math
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, TypeAlias

__all__ = [
    "WIDTH",
    "Part",
    "bar",
    "beside",
    "figure",
    "grid",
    "missing",
    "note",
    "percent",
    "plain",
    "show",
    "stages",
    "usd",
    "wrap",
]

WIDTH = 100
#: A column of words gets no narrower than this, unless its words are.
_WORDS = 16
#: Column → (heading, how to write a value).
Columns: TypeAlias = Mapping[str, tuple[str, Callable[[Any], str]]]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing a verb says: ``value`` under ``key`` in JSON, ``text`` on a terminal (nothing when empty)."""

    key: str
    value: Any
    text: str = ""


def show(parts: Sequence[Part], as_json: bool) -> None:
    """Print ``parts``: as text, a blank line between them, or as one JSON object."""
    if as_json:
        print(json.dumps({p.key: plain(p.value) for p in parts}, ensure_ascii=False, allow_nan=False))
    else:
        print("\n\n".join(p.text for p in parts if p.text))


def note(sentence: str, quiet: bool = False) -> None:
    """Say something beside the result."""
    if not quiet:
        print(sentence, file=sys.stderr)


def plain(value: Any) -> Any:
    """Return a JSON value; what is no number becomes null, a table a list of objects.

    >>> plain({"a": float("nan"), "b": (1, 2)})
    {'a': None, 'b': [1, 2]}
    """
    if hasattr(value, "to_dict"):
        value = value.to_dict("records") if hasattr(value, "columns") else value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def grid(rows: Any, columns: Columns) -> str:
    """Lay out a DataFrame: words to the left, numbers to the right; what is too wide goes on in a further line, nothing is cut.

    The width is that of the terminal, at least 100 columns. Words give way first, then intervals, which break before their bracket, and
    headings above numbers, which break between words.

    >>> import pandas as pd
    >>> print(grid(pd.DataFrame({"app": ["chat"], "usd": [12.5]}), {"app": ("app", str), "usd": ("spend", usd)}))
    app    spend
    chat  $12.50
    """
    body = [[write(row[name]) for name, (_, write) in columns.items()] for row in rows.to_dict("records")]
    lines = [[heading for heading, _ in columns.values()], *body]
    right = [bool(body) and all(_numeric(line[i]) for line in body) for i in range(len(columns))]
    widths = _narrowed([[line[i] for line in lines] for i in range(len(columns))], right)
    return "\n".join(text for line in lines for text in _laid(line, widths, right))


def _narrowed(cells: Sequence[Sequence[str]], right: Sequence[bool]) -> list[int]:
    """Return the width of each column: no wider than it needs, and all together no wider than the terminal if that can be."""
    widths = [max(map(len, column)) for column in cells]
    least = [
        max((len(part) for text in column for part in _parts(text, number)), default=0) if number else min(width, _WORDS)
        for column, number, width in zip(cells, right, widths, strict=True)
    ]
    for numbers in (False, True):
        while (over := sum(widths) + 2 * (len(widths) - 1) - _width()) > 0:
            loose = [i for i in range(len(widths)) if right[i] is numbers and widths[i] > least[i]]
            if not loose:
                break
            widest = max(loose, key=lambda i: widths[i])
            widths[widest] = max(widths[widest] - over, least[widest])
    return widths


def _laid(line: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> Iterator[str]:
    """Yield the lines of the terminal that one line of a table takes."""
    broken = [
        [text] if len(text) <= width else _parts(text, True) if number and _numeric(text) else _folded(text, width)
        for text, width, number in zip(line, widths, right, strict=True)
    ]
    for texts in itertools.zip_longest(*broken, fillvalue=""):
        cells = (t.rjust(w) if number else t.ljust(w) for t, w, number in zip(texts, widths, right, strict=True))
        yield "  ".join(cells).rstrip()


def _parts(text: str, number: bool) -> list[str]:
    if number and not _numeric(text):  # the heading
        return text.split()
    value, bracket, rest = text.partition(" [")
    return [value, f"[{rest}"] if number and bracket else [text]


def _folded(text: str, width: int) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return textwrap.wrap(text, width, subsequent_indent=indent, drop_whitespace=True) or [text]


def _width() -> int:
    return max(shutil.get_terminal_size((WIDTH, 0)).columns, WIDTH)


def _numeric(text: str) -> bool:
    return text[:1] in "-+−$0123456789–" if text else True


def missing(value: Any) -> bool:
    """Say whether a number is unknown: None or NaN."""
    return value is None or math.isnan(value)


def usd(value: Any) -> str:
    """Write [USD]: whole from 1000 on, else with cents, more digits below a cent; an en dash for what is unknown.

    >>> usd(1234.5), usd(-0.5), usd(0.00042), usd(4.2e-7), usd(None)
    ('$1,234', '-$0.50', '$0.00042', '$0.00000042', '–')
    """
    if missing(value):
        return "–"
    size = abs(value)
    shown = f"{size:,.0f}" if size >= 1000 else f"{size:.2f}" if size >= 0.005 or size == 0 else figure(size, 2)
    return f"{'-' if value < 0 else ''}${shown}"


def figure(value: Any, digits: int = 4) -> str:
    """Write a number to ``digits`` digits, all of those before the point, never as a power of ten; an en dash for what is unknown.

    >>> figure(20_000.0), figure(0.02), figure(1234.5), figure(12.3456), figure(4.2e-7), figure(-0.0), figure(None)
    ('20,000', '0.02', '1,234', '12.35', '0.00000042', '0', '–')
    """
    if missing(value):
        return "–"
    places = max(digits - 1 - math.floor(math.log10(abs(value))), 0) if value else 0
    shown = f"{value:z,.{places}f}"
    return shown.rstrip("0").rstrip(".") if places else shown


def percent(value: Any) -> str:
    """Write a share; an en dash for what is unknown.

    >>> percent(0.123), percent(-0.0001), percent(float("nan"))
    ('12.3%', '0.0%', '–')
    """
    return "–" if missing(value) else f"{value:z.1%}"


def wrap(text: str, indent: str = "") -> str:
    """Break every line of ``text`` at 100 columns."""
    return "\n".join(
        textwrap.fill(line, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False) for line in text.split("\n")
    )


def beside(left: Sequence[str], right: Sequence[str], width: int) -> str:
    """Lay ``right``, broken into lines, beside the few lines of ``left``, which take ``width`` columns.

    >>> print(beside(["$2", "assumed"], ["cache it"], 9))
      $2       cache it
      assumed
    """
    lines = [line for text in right for line in textwrap.wrap(text, WIDTH - width - 2, subsequent_indent="  ", break_on_hyphens=False)]
    rows = itertools.zip_longest(left, lines, fillvalue="")
    return "\n".join(f"  {a.ljust(width)}{b}".rstrip() for a, b in rows)


@contextmanager
def bar(what: str, quiet: bool, unit: str = "it") -> Iterator[Callable[[int, int], None]]:
    """Show progress on stderr as (done, in all) is reported; silent when quiet or when nobody watches."""
    from tqdm.auto import tqdm

    with tqdm(desc=what, unit=unit, unit_scale=True, leave=False, file=sys.stderr, disable=quiet or not sys.stderr.isatty()) as shown:

        def report(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        yield report


@contextmanager
def stages(what: str, quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """Show progress on stderr as (stage, share done) is reported; silent when quiet or when nobody watches."""
    from tqdm.auto import tqdm

    layout = "{desc}{percentage:3.0f}%|{bar}| {elapsed}"
    disabled = quiet or not sys.stderr.isatty()
    with tqdm(desc=what, total=1.0, bar_format=layout, leave=False, file=sys.stderr, disable=disabled) as shown:

        def report(stage: str, share: float) -> None:
            shown.set_description(f"{what}: {stage}", refresh=False)
            shown.update(share - shown.n)

        yield report
