"""A progress bar for anything of ours that reports progress.

In: a name. Out: a callback for the ``progress`` argument of ``planner.read`` and others, which report (done, all), and of
``planner.train``, which reports (stage, share). What is never reported, because it was done before, shows no bar.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tqdm.auto import tqdm

__all__ = ["progress"]


def progress(name: str) -> Callable[[Any, float], None]:
    """Return a callback that shows a bar called ``name`` from the first report on, and closes it when all is done."""
    bars: list[Any] = []

    def tell(done: Any, whole: float) -> None:
        if not bars:
            bars.append(tqdm(total=1.0, desc=name, mininterval=0, bar_format="{desc}: {percentage:3.0f}% {bar} {elapsed}"))
        share = min(whole if isinstance(done, str) else done / max(whole, 1), 1.0)
        bars[0].update(share - bars[0].n)
        if share >= 1.0:
            bars[0].close()

    return tell
