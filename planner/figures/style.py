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
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import pandas as pd
from matplotlib import patheffects, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = [
    "CEILING",
    "FAINT",
    "GREYS",
    "HALO",
    "INK",
    "MEASURED",
    "PROPOSAL",
    "PROPOSALS",
    "Picture",
    "bare",
    "money",
    "over",
    "points",
    "share",
    "styled",
    "without_axes",
]

#: Text; measured; grid lines.
INK, MEASURED, FAINT = "#1f2933", "#6b7785", "#e3e7ec"
#: The proposal, and what nobody can beat. Okabe & Ito's palette, which colour-blind readers tell apart.
PROPOSAL, CEILING = "#0072B2", "#D55E00"
PROPOSALS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
GREYS = ("#5f6b78", "#8d98a4", "#b6bec7", "#d3d9df")
#: Keeps words readable over lines.
HALO = (patheffects.withStroke(linewidth=3, foreground="white"),)
#: Pixels per inch of what a notebook shows, and of the file behind it, which is sharp on a fine screen.
SHOWN_DPI, FILE_DPI = 100, 180

_P = ParamSpec("_P")
_R = TypeVar("_R")
_RC: Any = {
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
    "text.parse_math": False,  # a dollar is money
}


def styled(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Give everything that ``draw`` makes our fonts and colours, whatever the notebook has set."""

    @wraps(draw)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with style.context(["default", _RC]):
            return draw(*args, **kwargs)

    return wrapped


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
            f'<details class="mathjax_ignore"><summary>Copy numbers</summary>{table}</details>'
        )

    @styled
    def png(self, dpi: int = FILE_DPI) -> bytes:
        """Return the picture as a PNG file; the same picture gives the same bytes."""
        out = io.BytesIO()
        self.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
        return out.getvalue()


def bare(
    title: str, source: str, size: tuple[float, float] = (9.0, 5.2), *, left: float = 0.8, right: float = 0.3, bottom: float = 0.86
) -> tuple[Picture, Axes]:
    """Return a page with a title, a source line and one empty plot; all lengths in inches."""
    figure = Picture(figsize=size, facecolor="white", dpi=SHOWN_DPI)
    FigureCanvasAgg(figure)
    figure.title, figure.numbers = title, pd.DataFrame()
    words = textwrap.fill(title, round(size[0] * 7.6))
    figure.text(0.02, 1 - 0.14 / size[1], words, size=14, weight="bold", va="top", linespacing=1.25)
    below = textwrap.fill(source, round(size[0] * 14.4))
    figure.text(0.02, 0.08 / size[1], below, size=8.5, color=MEASURED, va="bottom", linespacing=1.3)
    bottom += 0.15 * below.count("\n")
    top = 0.42 + (0.26 * (1 + words.count("\n")) if title else 0.0)
    box = (left / size[0], bottom / size[1], 1 - (left + right) / size[0], 1 - (top + bottom) / size[1])
    axes = figure.add_axes(box)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0, pad=6)
    return figure, axes


def over(axes: Axes, words: str) -> None:
    """Say above the plot what its height means, at the left edge of the page."""
    where = ("figure fraction", "axes fraction")
    axes.annotate(words, (0.02, 1.0), (0, 8), xycoords=where, textcoords="offset points", va="bottom", annotation_clip=False)


def without_axes(axes: Axes) -> None:
    """Take away frame and ticks: the page is a table."""
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])


def money(usd: float) -> str:
    """Return an amount of money [USD] as people write it.

    >>> money(12345.6), money(-3.2), money(0.0004), money(float("nan"))
    ('$12,346', '−$3.20', '< $0.01', 'unknown')
    """
    if math.isnan(usd):
        return "unknown"
    sign, size = "−" if usd < 0 else "", abs(usd)
    if 0 < size < 0.005:
        return "< $0.01"
    return f"{sign}${size:,.0f}" if size >= 99.995 else f"{sign}${size:,.2f}"


def points(quality: float) -> str:
    """Return a quality in [0, 1] in points of a hundred.

    >>> points(-0.0123), points(0.004), points(-0.0001)
    ('−1.2', '+0.4', '0.0')
    """
    if math.isnan(quality):
        return "unknown"
    rounded = round(100 * quality, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def share(part: float) -> str:
    """Return a share in per cent, one digit below ten.

    >>> share(0.034), share(0.34), share(0.0001)
    ('3.4 %', '34 %', '< 0.1 %')
    """
    if 0 < part < 0.0005:
        return "< 0.1 %"
    return (f"{100 * part:.1f} %" if abs(part) < 0.0995 else f"{100 * part:.0f} %").replace("-", "−")
