"""Size classes of what is asked, so that evidence and failures can be told apart by it. Knows nothing else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SIZES", "SIZE_NAMES", "size_class"]

#: Input tokens from which each class after the first begins.
SIZES = (500, 2_000, 8_000, 32_000)
SIZE_NAMES = ("< 500", "500 – 2k", "2k – 8k", "8k – 32k", "≥ 32k")


def size_class(input_tokens: NDArray[np.integer | np.floating]) -> NDArray[np.int64]:
    """Return the position in SIZE_NAMES of each number of input tokens.

    >>> size_class(np.array([0, 499, 500, 40_000])).tolist()
    [0, 0, 1, 4]
    """
    return np.searchsorted(SIZES, input_tokens, side="right").astype(np.int64)
