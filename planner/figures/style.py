"""Style: what every figure shares: colours that say how sure a number is, fonts, the source line, and the page it is drawn on.

Grey is measured, colour is a proposal, dashed is assumed. Out: a Picture, which is a matplotlib Figure that shows itself in a
notebook with its numbers below. Knows nothing of results.
"""

from __future__ import annotations

import base64
import html
import io
import math
import textwrap
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["CEILING", "FAINT", "GREYS", "INK", "MEASURED", "PALE", "PROPOSAL", "PROPOSALS", "Picture", "bare", "money", "points", "share"]

#: Text; measured; grid lines; areas behind.
INK, MEASURED, FAINT, PALE = "#1f2933", "#6b7785", "#e3e7ec", "#f4f6f8"
#: The proposal, and what nobody can beat. Okabe & Ito's palette, which colour-blind readers tell apart.
PROPOSAL, CEILING = "#0072B2", "#D55E00"
PROPOSALS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
GREYS = ("#5f6b78", "#8d98a4", "#b6bec7", "#d3d9df")
#: Pixels per inch of what a notebook shows, and of the file behind it, which is sharp on a fine screen.
SHOWN_DPI, FILE_DPI = 100, 180

_RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MEASURED,
    "axes.linewidth": 0.8,
    "axes.labelsize": 10.5,
    "xtick.color": MEASURED,
    "ytick.color": MEASURED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.unicode_minus": True,
}


class Picture(Figure):
    """A Figure with the numbers it shows; in a notebook the numbers unfold below it, ready to be copied."""

    numbers: pd.DataFrame
    title: str

    def _repr_html_(self) -> str:
        width, height = (round(x * SHOWN_DPI) for x in self.get_size_inches())
        data = base64.b64encode(self.png()).decode()
        table = self.numbers.to_html(index=False, border=0, escape=True, float_format="{:,.4g}".format)
        return (
            f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}" alt="{html.escape(self.title, quote=True)}">'
            f"<details><summary>Copy numbers</summary>{table}</details>"
        )

    def png(self, dpi: int = FILE_DPI) -> bytes:
        """Return the picture as a PNG file; the same picture gives the same bytes."""
        out = io.BytesIO()
        self.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
        return out.getvalue()


def bare(title: str, source: str, size: tuple[float, float] = (9.0, 5.2), left: float = 0.085, right: float = 0.97) -> tuple[Picture, Axes]:
    """Return a page with a title, a source line and one empty plot; sizes in inches, margins as shares of the width."""
    with rc_context(_RC):
        figure = Picture(figsize=size, facecolor="white", dpi=SHOWN_DPI)
        FigureCanvasAgg(figure)
        figure.title, figure.numbers = title, pd.DataFrame()
        line = 0.2 / size[1]
        words = textwrap.fill(title, round(size[0] * 7.6))
        figure.text(left_edge := 0.02, 1 - 0.14 / size[1], words, size=14, weight="bold", va="top", linespacing=1.25)
        figure.text(left_edge, 0.08 / size[1], source, size=8.5, color=MEASURED, va="bottom")
        top = 1 - (0.42 + 0.26 * (1 + words.count("\n"))) / size[1]
        axes = figure.add_axes((left, 3.6 * line, right - left, top - 3.6 * line))
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=0, pad=6)
    return figure, axes


def money(usd: float) -> str:
    """Return an amount of money [USD] as people write it.

    >>> money(12345.6), money(-3.2), money(0.456)
    ('$12,346', '−$3.20', '$0.46')
    """
    if math.isnan(usd):
        return "unknown"
    sign, size = "−" if usd < 0 else "", abs(usd)
    return f"{sign}${size:,.0f}" if size >= 100 else f"{sign}${size:,.2f}"


def points(quality: float, sign: bool = True) -> str:
    """Return a quality in [0, 1] in points of a hundred.

    >>> points(-0.0123), points(0.004)
    ('−1.2', '+0.4')
    """
    if math.isnan(quality):
        return "unknown"
    return f"{100 * quality:{'+' if sign else ''}.1f}".replace("-", "−")


def share(part: float) -> str:
    """Return a share in per cent, one digit below ten.

    >>> share(0.034), share(0.34)
    ('3.4 %', '34 %')
    """
    return (f"{100 * part:.1f} %" if abs(part) < 0.0995 else f"{100 * part:.0f} %").replace("-", "−")
