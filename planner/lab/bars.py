"""A progress bar for anything of ours that reports progress.

In: a name. Out: a callback for the ``progress`` argument of ``planner.read`` (done, all) and ``planner.train`` (stage, share).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tqdm.auto import tqdm

__all__ = ["progress"]


def progress(name: str) -> Callable[[Any, float], None]:
    """Return a callback that shows a bar called ``name``; it closes when all is done."""
    bar: Any = tqdm(total=1.0, desc=name, mininterval=0, bar_format="{desc}: {percentage:3.0f}% {bar} {elapsed}")

    def tell(done: Any, whole: float) -> None:
        share = whole if isinstance(done, str) else done / max(whole, 1)
        bar.update(min(share, 1.0) - bar.n)
        if share >= 1.0:
            bar.close()

    return tell
