"""What the explorer says: the line of key figures and the tables of numbers, as HTML.

In: rows of Frontier.table. Out: HTML in which everything is escaped. Formats; computes nothing.
"""

from __future__ import annotations

import html
from collections.abc import Callable

import pandas as pd

from planner.figures.style import money, points, share

__all__ = ["curve", "ends", "figures_of", "head", "key", "level", "warning"]

_CSS = """<style>
.pl-kpis, .pl-head, .pl-note {font-family: var(--jp-ui-font-family, sans-serif); line-height: 1.35}
.pl-kpis {display: grid; grid-template-columns: 1fr 1.6fr 1.2fr 1fr; gap: 10px}
.pl-kpi {border: 1px solid #dfe4ea; border-radius: 8px; padding: 9px 14px; background: #fff; min-height: 78px; box-sizing: border-box}
.pl-kpi .name {font-size: 12px; color: #5b6672}
.pl-kpi .big {font-size: 23px; font-weight: 600; color: #1f2933; font-variant-numeric: tabular-nums; white-space: nowrap}
.pl-kpi .big.new {color: #0072b2}
.pl-kpi .small {font-size: 12px; color: #5b6672; font-variant-numeric: tabular-nums; white-space: nowrap}
.pl-head {display: flex; align-items: baseline; gap: 10px}
.pl-head b {font-size: 15px; color: #1f2933}
.pl-badge {font-size: 11.5px; border-radius: 10px; padding: 1px 9px; background: #fdf1dc; color: #7a4b00; border: 1px solid #f0d5a5}
.pl-note {font-size: 12px; color: #5b6672}
.pl-warn {color: #7a4b00; margin-top: 8px}
.pl-ends {display: flex; justify-content: space-between; font-size: 11.5px; color: #5b6672; margin: -6px 2px 0; line-height: 1.2}
.pl-numbers {max-height: 320px; overflow: auto; line-height: 1.35}
.pl-numbers table {border-collapse: collapse; font-size: 12px; font-variant-numeric: tabular-nums}
.pl-numbers td, .pl-numbers th {padding: 2px 10px; text-align: right; border-bottom: 1px solid #edf0f3; white-space: nowrap}
.pl-numbers th {position: sticky; top: 0; background: #f4f6f8}
</style>"""


def figures_of(row: pd.Series, sampled: bool = False) -> str:
    """Say cost, saving, quality and what moves at one level, as one line of cards; costs of a sample are estimates without an interval."""
    cost = "Cost per month, estimated from a sample" if sampled else "Cost per month"
    saving = _between(row, "saving", money) + _assumed(row)
    quality = _between(row, "quality", points)
    cards = [
        (cost, money(row["usd_per_month"]), f"as logged {money(row['usd_per_month'] + row['saving_usd_per_month'])}", ""),
        ("Saving per month, estimated", f"{money(row['saving_usd_per_month'])} ({share(row['saving_share'])})", saving, "new"),
        ("Quality in points, estimated", points(row["quality_difference"]), f"{quality} against the log", "new"),
        ("Requests that move", share(row["changed_share"]), "to another model", ""),
    ]
    return f'{_CSS}<div class="pl-kpis mathjax_ignore" role="status">{"".join(_card(*c) for c in cards)}</div>'


def _card(name: str, big: str, small: str, kind: str) -> str:
    name, big, small = (html.escape(x) for x in (name, big, small))
    return (
        f'<div class="pl-kpi"><div class="name">{name}</div><div class="big {kind}">{big}</div>'
        f'<div class="small" title="{small}">{small}</div></div>'
    )


def _assumed(row: pd.Series) -> str:
    """Say how much of the saving rests on more than estimates."""
    return f", {money(row['saving_assumed'])} of it assumed" if row["saving_assumed"] else ""


def _between(row: pd.Series, name: str, write: Callable[[float], str]) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "no interval" if pd.isna(low) else f"[{write(low)}, {write(high)}]"


def head(title: str, note: str, certified: bool = False) -> str:
    """Name what is shown; the word exploratory stays for as long as no floor is certified."""
    badge = (
        ""
        if certified
        else '<span class="pl-badge" title="Read off many levels at once; a certified floor is fixed beforehand.">exploratory</span>'
    )
    aside = f'<span class="pl-note">{html.escape(note)}</span>' if note else ""
    return f'<div class="pl-head mathjax_ignore"><b>{html.escape(title)}</b>{badge}{aside}</div>'


def ends(lowest: float) -> str:
    """Say what the ends of the floor's slider mean."""
    return f'<div class="pl-ends"><span>lose up to {html.escape(f"{-lowest:g}")}</span><span>lose nothing</span></div>'


def warning() -> str:
    """Say that not even the level shown is surely above the floor."""
    said = "No level that saves has its whole 95 % interval above this floor: keep what you have. "
    said += "The figures are the log's; the square is every app on its model of today."
    return f'<div class="pl-note pl-warn">{said}</div>'


def key() -> str:
    """Say what the colours mean."""
    return (
        '<div class="pl-note" style="margin-top:8px">Grey: as logged. Blue: proposal. Band and bar: 95 % interval. '
        "The square is the cheapest level whose whole interval stays above the floor.</div>"
    )


def level(row: pd.Series) -> str:
    """Lay out one level beside the log: money, quality, and who answers the requests that are routed."""
    shares = [name for name in row.index if name.startswith("share ")]
    rows = [
        ("cost per month [USD]", f"{row['usd_per_month'] + row['saving_usd_per_month']:,.2f}", f"{row['usd_per_month']:,.2f}", ""),
        ("saving per month [USD]", "", f"{row['saving_usd_per_month']:,.2f}", _to(row, "saving", ",.2f")),
        ("of it assumed [USD]", "", f"{row['saving_assumed']:,.2f}", ""),
        ("quality difference", "", f"{row['quality_difference']:+.4f}", _to(row, "quality", "+.4f")),
        ("requests on another model", "", f"{row['changed_share']:.2%}", ""),
        *((f"share of routed requests: {n.removeprefix('share ')}", "", f"{row[n]:.2%}", "") for n in shares),
        *((("level τ", "", f"{row['tau']:.6g}", ""),) if "tau" in row else ()),
    ]
    table = pd.DataFrame(rows, columns=["", "as logged", "proposed", "95 % interval"])
    return f'<div class="pl-numbers mathjax_ignore">{table.to_html(index=False, border=0, escape=True)}</div>'


def _to(row: pd.Series, name: str, spec: str) -> str:
    return "none" if pd.isna(row[f"{name}_low"]) else f"{row[f'{name}_low']:{spec}} to {row[f'{name}_high']:{spec}}"


def curve(table: pd.DataFrame) -> str:
    """Lay out every level, to be selected and copied."""
    body = table.to_html(index=False, border=0, escape=True, float_format="{:,.5g}".format)
    return f'<div class="pl-numbers mathjax_ignore">{body}</div>'
