"""The explorer's picture: drawn once for a frontier, then only what moves is drawn again.

In: a Frontier and a chosen level. Out: PNG bytes of a fixed size. Knows nothing of widgets.
"""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imsave

from planner.figures.curve import mark, move, scene
from planner.figures.style import styled
from planner.simulation import Frontier

__all__ = ["HEIGHT", "WIDTH", "Canvas"]

#: What the browser shows [px]; the file behind has SHARP times as many each way.
WIDTH, HEIGHT, SHARP = 740, 430, 1.6
_SHOWN_DPI = 100


class Canvas:
    """A drawn frontier whose marks can be moved.

    What stays is kept as pixels, so that a move costs the marks and the encoding.
    """

    @styled
    def __init__(self, frontier: Frontier, *, ceiling: pd.DataFrame | None = None, note: str = "") -> None:
        self.frontier = frontier
        figure, axes = scene(frontier, "", ceiling=ceiling, note=note, size=(WIDTH / _SHOWN_DPI, HEIGHT / _SHOWN_DPI))
        figure.set_dpi(_SHOWN_DPI * SHARP)
        self._marks = mark(axes, animated=True)
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        self._canvas, self._empty = canvas, canvas.copy_from_bbox(figure.bbox)

    def png(self, chosen: int, floor: float) -> bytes:
        """Return the picture with the level at ``chosen`` marked."""
        move(self._marks, self.frontier, chosen, floor)
        self._canvas.restore_region(self._empty)
        self._marks.draw()
        out = io.BytesIO()
        imsave(out, self._canvas.buffer_rgba(), format="png", pil_kwargs={"compress_level": 1})
        return out.getvalue()
