"""The one place behind which the tokenizer sits.

In: texts. Out: how many tokens each has under one of OpenAI's published encodings: exact, and without any download. Other
providers publish no tokenizer, so their counts are estimates: whoever shows them says so. Knows nothing of models or money.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import quicktok
from numpy.typing import NDArray

from planner.errors import InputError

__all__ = ["ENCODINGS", "count_tokens"]

#: The vocabularies that come with the tokenizer: GPT-4o and later, and GPT-4 with GPT-3.5.
ENCODINGS = ("o200k_base", "cl100k_base")


@cache
def _tokenizer(encoding: str) -> Any:
    if encoding not in ENCODINGS:
        raise InputError(f"encoding {encoding!r}", f"one of {', '.join(ENCODINGS)}")
    return quicktok.get_encoding(encoding)


def count_tokens(texts: Iterable[str], encoding: str = "o200k_base") -> NDArray[np.int64]:
    """Count the tokens of each text, shape (n,) [tokens]; a lone surrogate counts as a question mark.

    >>> count_tokens(["Hello world", "", "Grüße aus Köln"]).tolist()
    [2, 0, 5]
    """
    count = _tokenizer(encoding).count
    return np.array([count(t if t.isascii() else t.encode("utf-8", "replace").decode("utf-8")) for t in texts], np.int64)
