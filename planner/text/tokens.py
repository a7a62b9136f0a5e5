"""The one place behind which the tokenizer sits.

In: texts. Out: how many tokens each has under one of OpenAI's published encodings: exact, and without any download. Other
providers publish no tokenizer, so their counts are estimates: whoever shows them says so. Knows nothing of models or money.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import quicktok
from numpy.typing import NDArray

from planner.errors import InputError

__all__ = ["ENCODINGS", "count_tokens", "remembered", "token_ids"]

#: The vocabularies that come with the tokenizer: GPT-4o and later, and GPT-4 with GPT-3.5.
ENCODINGS = ("o200k_base", "cl100k_base")
#: [characters] of the largest batch whose ids are kept.
_REMEMBERED = 1 << 19


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
    return np.array([count(_encodable(t)) for t in texts], np.int64)


def token_ids(texts: Sequence[str], encoding: str = "o200k_base") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ids of all texts' tokens, one after another, and where each text's begin and the last one's end, (n + 1,).

    >>> ids, bounds = token_ids(["Hello world", "", "Hello"])
    >>> bounds.tolist(), bool(ids[0] == ids[2])
    ([0, 2, 2, 3], True)
    """
    if len(texts) == 1:
        ids = _ids(texts[0], encoding)
        return ids, np.array([0, len(ids)])
    return _batch(tuple(texts), encoding) if remembered(texts) else _batch.__wrapped__(texts, encoding)


def remembered(texts: Sequence[str]) -> bool:
    """Say whether ``token_ids`` of these texts are kept for a second look: whoever decides counts them first and reads them later."""
    return sum(map(len, texts)) <= _REMEMBERED


@lru_cache(2)
def _batch(texts: Sequence[str], encoding: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    found, bounds = _tokenizer(encoding).encode_batch([_encodable(t) for t in texts], 1)
    ids, ends = found.astype(np.int64), bounds.astype(np.int64)
    ids.flags.writeable = ends.flags.writeable = False
    return ids, ends


@lru_cache(64)
def _ids(text: str, encoding: str) -> NDArray[np.int64]:
    ids = np.array(_tokenizer(encoding).encode_ordinary(_encodable(text)), np.int64)
    ids.flags.writeable = False
    return ids


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
