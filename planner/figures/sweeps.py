"""One lever at several settings, as pictures: what it brings above, what it costs below; and retries by the kind of failure.

In: a Sweep. Out: a Picture. Dashed is assumed, grey is the log as it is. Computes no result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from planner.errors import InputError
from planner.figures.style import CEILING, FAINT, HALO, INK, MEASURED, PROPOSAL, PROPOSALS, Picture, bare, money, over, share, styled
from planner.simulation.sweep import Sweep

__all__ = ["retries", "sweep"]


def _seconds(ms: float) -> str:
    return f"{ms / 1000:,.1f}\u00a0s"


def _duration(s: float) -> str:
    """Write a time as people do.

    >>> [_duration(s).replace("\u00a0", " ") for s in (2.5, 60, 21_600, 604_800)]
    ['2.5 s', '1 min', '6 h', '7 days']
    """
    size, unit = next((size, unit) for size, unit in ((172_800, "days"), (3_600, "h"), (60, "min"), (0, "s")) if s >= size)
    return f"{s / {172_800: 86_400, 0: 1}.get(size, size):,.3g}\u00a0{unit}"


def _count(x: float) -> str:
    return f"{x:.2f}"


#: Column → what it is, how its values are written, and the column of its evidence. "misses" stands for all of its columns.
_COLUMNS: dict[str, tuple[str, Callable[[float], str], str]] = {
    "p50_ms": ("Median time to an answer", _seconds, "latency_evidence"),
    "p95_ms": ("p95 of the time to an answer", _seconds, "latency_evidence"),
    "p99_ms": ("p99 of the time to an answer", _seconds, "latency_evidence"),
    "usd_per_month": ("Cost per month", money, "evidence"),
    "saving_usd_per_month": ("Saved per month", money, "evidence"),
    "failure_share": ("Requests without an answer", share, "latency_evidence"),
    "hit_share": ("Requests answered from the cache", share, "latency_evidence"),
    "refused_share": ("Refused calls per request", share, "latency_evidence"),
    "calls": ("Calls per request", _count, "latency_evidence"),
    "misses": ("Answers after the deadline", share, "latency_evidence"),
}
#: Columns whose interval is drawn as a band; the cost has one in a sample alone.
_LIMITS = {"saving_usd_per_month": ("saving_low", "saving_high"), "usd_per_month": ("usd_low", "usd_high")}
#: Field → what it is, and how many seconds its unit is; 0: it is no time.
_FIELDS: dict[str, tuple[str, float]] = {
    "after_ms": ("Delay before the second call", 1e-3),
    "ms": ("Time after which a call is given up", 1e-3),
    "ttl_s": ("Time for which answers are kept", 1),
    "capacity": ("Answers that the cache holds", 0),
    "window_minutes": ("Time for which a batch is gathered", 60),
    "limits": ("Limit a minute", 0),
}
#: Of the plots' height, what the upper one and the gap between them take.
_UPPER, _GAP = 0.43, 0.15


@styled
def sweep(found: Sweep, upper: str, lower: str, *, chosen: float | None = None, note: str = "") -> Picture:
    """Draw two columns of a sweep's table against the setting, with the log as a grey line; ``chosen`` marks one value.

    ``upper`` and ``lower`` are columns, or ``misses`` for all turnarounds of a batch. InputError for others, and for a value that was
    not played.
    """
    for name in (upper, lower):
        if name not in _COLUMNS or not _lines(found.table, name):
            raise InputError(f"column {name!r}", f"one of {', '.join(n for n in _COLUMNS if _lines(found.table, n))}")
    if chosen is not None and chosen not in set(found.table["value"]):
        raise InputError(f"chosen {chosen}", f"one of {', '.join(dict.fromkeys(found.table['label'][1:]))}")
    figure, below = bare(
        _title(found, upper, lower, chosen),
        _source(found, note, [low for name in (upper, lower) if (low := _LIMITS.get(name, ("",))[0]) in found.table]),
        (9.0, 6.2),
        left=0.95,
        right=1.75,
    )
    figure.numbers = found.table
    box = below.get_position()
    above = figure.add_axes((box.x0, box.y1 - _UPPER * box.height, box.width, _UPPER * box.height), sharex=below)
    below.set_position((box.x0, box.y0, box.width, (1 - _UPPER - _GAP) * box.height))
    for axes, name in ((above, upper), (below, lower)):
        _panel(axes, found, name, legend=axes is above or len(_lines(found.table, lower)) > 1)
        if chosen is not None:
            axes.axvline(chosen, color=PROPOSAL, linewidth=0.8, zorder=1)
            axes.plot([chosen], [_at(found, chosen)[_middle(_lines(found.table, name))]], "s", markersize=10, color=PROPOSAL, zorder=8)
    _settings(below, found)
    above.tick_params(labelbottom=False)
    return figure


def _lines(table: pd.DataFrame, name: str) -> list[str]:
    """Return the columns that ``name`` stands for."""
    return [c for c in table.columns if c.startswith("misses_")] if name == "misses" else [name] * (name in table.columns)


def _middle(columns: list[str]) -> str:
    return columns[len(columns) // 2]


def _at(found: Sweep, value: float) -> pd.Series:
    """Return the row of one value; of several correlations the middle one."""
    rows = found.table[found.table["value"] == value]
    return rows.iloc[len(rows) // 2]


def _field(found: Sweep) -> tuple[str, float]:
    return _FIELDS.get(found.varied, (f"{found.lever.key.replace('_', ' ')} {found.varied.replace('_', ' ')}", 0))


def _setting(found: Sweep, value: float) -> str:
    """Write one value of the field that varies."""
    seconds = _field(found)[1]
    return _duration(value * seconds) if seconds else f"{value:,g}"


def _title(found: Sweep, upper: str, lower: str, chosen: float | None) -> str:
    if chosen is None:
        return f"{_COLUMNS[upper][0]} and {_lower(_COLUMNS[lower][0])}: {_lower(_field(found)[0])}"
    row, logged = _at(found, chosen), found.table.iloc[0]
    said = []
    for name in (upper, lower):
        what, write, _ = _COLUMNS[name]
        column = _middle(_lines(found.table, name))
        before = "" if pd.isna(logged[column]) or "saving" in name else f" (as logged {write(float(logged[column]))})"
        said.append(f"{_lower(what)} {write(float(row[column]))}{before}".replace(" %", "\u00a0%"))
    return f"{_field(found)[0]} {_setting(found, chosen)}: {', '.join(said)}"


def _lower(words: str) -> str:
    return words[0].lower() + words[1:]


def _source(found: Sweep, note: str, bands: Sequence[str] = ()) -> str:
    """Say what the numbers rest on; ``bands`` are the columns with the lower edges of what is drawn as a band."""
    played = found.table.iloc[1:]
    load = f"calls per request {played['calls'].min():.2f} to {played['calls'].max():.2f}, as logged {found.table['calls'].iloc[0]:.2f}"
    evidence = f"money {_weakest(played['evidence'])}, times {_weakest(played['latency_evidence'])}"
    parts = [*([note] if note else []), f"{found.requests:,} requests of {found.scope}", *filter(None, [found.sample]), load, evidence]
    if bands:
        parts.append("band: 95\u00a0% interval over users" if played[[*bands]].notna().any(axis=None) else "too few users for an interval")
    return " · ".join([*parts, found.prices])


def _weakest(evidence: pd.Series) -> str:
    return next(e for e in ("assumed", "estimated", "measured") if e in set(evidence))


def _panel(axes: Axes, found: Sweep, name: str, *, legend: bool) -> None:
    words, write, sure = _COLUMNS[name]
    columns, played = _lines(found.table, name), found.table.iloc[1:]
    dashed = "--" if _weakest(played[sure]) == "assumed" else "-"
    for i, (label, column, rows) in enumerate(_curves(played, columns)):
        colour = PROPOSALS[i]
        x, y = rows["value"].to_numpy(float), rows[column].to_numpy(float)
        axes.plot(x, y, dashed, color=colour, linewidth=2.0, marker="o", markersize=4)
        low, high = _LIMITS.get(name, ("", ""))
        if low in rows and rows[low].notna().all():
            axes.fill_between(x, rows[low].astype(float), rows[high].astype(float), color=colour, alpha=0.12, linewidth=0)
        if label:
            axes.plot([], [], dashed, color=colour, marker="o", markersize=4, label=label)
    if legend and any(label for label, *_ in _curves(played, columns)):
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, fontsize=9, handlelength=1.6, borderaxespad=0)
    before = float(found.table[columns[0]].iloc[0])
    if np.isfinite(before):
        axes.axhline(before, color=MEASURED, linewidth=1.2, linestyle=(0, (1, 1.5)), zorder=1)
        where = ("axes fraction", "data")
        axes.annotate(
            "as logged", (1, before), (8, 0), where, "offset points", va="center", color=MEASURED, fontsize=9, annotation_clip=False
        )
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0, pad=6)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: write(float(v)).removesuffix(".00") if v else "0"))
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(y=0.12)
    over(axes, words)


def _curves(played: pd.DataFrame, columns: list[str]) -> list[tuple[str, str, pd.DataFrame]]:
    """Return what each line is called, its column and its rows: one a turnaround, or one a correlation."""
    if len(columns) > 1:
        return [(f"provider takes {c.removeprefix('misses_').removesuffix('h')} h", c, played) for c in columns]
    several = played["correlation"].notna().all()
    groups = played.groupby("correlation", sort=True) if several else [("", played)]
    return [(f"correlation {g:g}" if several else "", columns[0], rows) for g, rows in groups]


def _settings(axes: Axes, found: Sweep) -> None:
    played = found.table.iloc[1:].drop_duplicates("value")
    values = played["value"].to_numpy(float)
    if (values > 0).all() and values.max() > 10 * values.min():
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    numbers = pd.to_numeric(played["label"], errors="coerce").notna().all()
    axes.set_xticks(values, [_setting(found, v) for v in values] if numbers else list(played["label"]))
    axes.set_xlabel(_field(found)[0], labelpad=8)


@styled
def retries(found: Sweep, *, note: str = "") -> Picture:
    """Draw for each way of trying again how many requests it rescues, and what it costs more than none, of ``simulation.retries``."""
    table = found.table[found.table["label"] != "as logged"].reset_index(drop=True)
    none = table[table["label"] == "none"].iloc[0]
    rows = table[table["label"] != "none"].reset_index(drop=True)
    rescued = 1000 * (none["failure_share"] - rows["failure_share"]).to_numpy(float)
    usd = (rows["usd_per_month"] - none["usd_per_month"]).to_numpy(float)
    figure, left = bare(
        _headline(rows, rescued, usd), _source(found, note), (9.4, 1.9 + 0.42 * len(rows)), left=1.5, right=0.5, bottom=0.55
    )
    figure.numbers = rows.assign(rescued_per_1000=rescued, usd_more_per_month=usd)
    box = left.get_position()
    left.set_position((box.x0, box.y0, 0.44 * box.width, box.height))
    right = figure.add_axes((box.x0 + 0.56 * box.width, box.y0, 0.44 * box.width, box.height))
    colours = [{"blind": CEILING, "by kind": PROPOSAL}.get(label, MEASURED) for label in rows["label"]]
    for axes, values, write, words in (
        (left, rescued, lambda v: f"{v:.1f}", "Rescued of 1,000 requests"),
        (right, usd, money, "Costs more a month than no retries"),
    ):
        for at, (value, colour, evidence) in enumerate(zip(values, colours, rows["evidence"], strict=True)):
            hollow: dict[str, Any] = (
                {"color": "white", "edgecolor": colour, "linestyle": "--"} if evidence == "assumed" else {"color": colour}
            )
            axes.barh(at, value, height=0.6, **hollow)
        axes.set_ylim(len(rows) - 0.4, -0.7)
        axes.set_xlim(0, 1.25 * max(float(values.max()), 1e-9))
        axes.set_xticks([])
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.tick_params(length=0, pad=6)
        axes.set_yticks(rows.index, rows["label"].str.replace("_", " ") if axes is left else [""] * len(rows))
        for at, value in enumerate(values.tolist()):
            words_at: dict[str, Any] = {"va": "center", "weight": "bold", "color": INK, "path_effects": HALO}
            axes.annotate(write(value), (max(value, 0.0), at), (5, 0), textcoords="offset points", **words_at)
        axes.set_title(words, loc="left", fontsize=10.5, color=INK)
    return figure


def _headline(rows: pd.DataFrame, rescued: Any, usd: Any) -> str:
    kind, blind = (int(np.flatnonzero(rows["label"] == name)[0]) for name in ("by kind", "blind"))
    more = f"{money(usd[blind] - usd[kind])} a month more" if usd[blind] > usd[kind] else "no more"
    return f"Retries by kind rescue {rescued[kind]:.1f} of 1,000 requests; blind ones {rescued[blind]:.1f}, for {more}"
