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

__all__ = ["ENCODINGS", "count_tokens", "remembered", "token_ids", "vocabulary"]

#: The vocabularies that come with the tokenizer: GPT-4o and later, and GPT-4 with GPT-3.5.
ENCODINGS = ("o200k_base", "cl100k_base")
#: [characters] of the largest batch whose ids are kept, and of a text for which a list of ids is quicker made than a batch.
_REMEMBERED, _SHORT = 1 << 21, 768

Ids = NDArray[np.uint32]


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


def token_ids(texts: Sequence[str], encoding: str = "o200k_base") -> tuple[Ids, NDArray[np.int64]]:
    """Return the ids of all texts' tokens, one after another, and where each text's begin and the last one's end, (n + 1,).

    >>> ids, bounds = token_ids(["Hello world", "", "Hello"])
    >>> bounds.tolist(), bool(ids[0] == ids[2])
    ([0, 2, 2, 3], True)
    """
    if len(texts) == 1:
        return _one(texts[0], encoding)
    return _batch(tuple(texts), encoding) if remembered(texts) else _batch.__wrapped__(texts, encoding)


def remembered(texts: Sequence[str]) -> bool:
    """Say whether ``token_ids`` of these texts are kept for a second look: whoever decides counts them first and reads them later."""
    return sum(map(len, texts)) <= _REMEMBERED


def vocabulary(encoding: str = "o200k_base") -> list[bytes]:
    """Return the bytes of every token, in the order of their ids; none where there is no token.

    >>> vocabulary()[token_ids(["Hello"])[0][0]]
    b'Hello'
    """
    tokenizer = _tokenizer(encoding)
    return [_bytes(tokenizer, i) for i in range(tokenizer.n_vocab)]


def _bytes(tokenizer: Any, token: int) -> bytes:
    try:
        found: bytes = tokenizer.decode_single_token_bytes(token)
    except KeyError:
        return b""
    return found


@lru_cache(4)
def _batch(texts: Sequence[str], encoding: str) -> tuple[Ids, NDArray[np.int64]]:
    return _fixed(*_tokenizer(encoding).encode_batch([_encodable(t) for t in texts], 1))


@lru_cache(32)
def _one(text: str, encoding: str) -> tuple[Ids, NDArray[np.int64]]:
    if len(text) > _SHORT:
        return _batch.__wrapped__((text,), encoding)
    ids = np.array(_tokenizer(encoding).encode_ordinary(_encodable(text)), np.uint32)
    return _fixed(ids, np.array([0, len(ids)]))


def _fixed(ids: Ids, bounds: NDArray[np.int64]) -> tuple[Ids, NDArray[np.int64]]:
    """Make both read-only, since they are handed out again."""
    ids.flags.writeable = bounds.flags.writeable = False
    return ids, bounds


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
