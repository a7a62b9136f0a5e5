"""The shape of a request as a few dense numbers: lengths, digits, code, questions, tools, formats, position.

In: Requests and the tokens of their deciding turns. Out: a float32 matrix with one named column each. What a text holds is the sum
of what its tokens hold, which is looked up. Knows nothing of n-grams or weights.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.router.hashing import I64, U32, summed
from planner.router.requests import Requests
from planner.text.tokens import token_ids, vocabulary

__all__ = ["REQUEST_COLUMNS", "STRUCTURE", "TEXT_COLUMNS", "amounts", "scaled", "structure"]

TEXT_COLUMNS = (
    "ln_tokens",
    "ln_lines",
    "word_bytes",
    "digits",
    "capitals",
    "punctuation",
    "code_marks",
    "maths_marks",
    "non_ascii",
    "question_marks",
    "question_words",
    "reasoning_words",
    "code_words",
    "simple_words",
)
REQUEST_COLUMNS = (
    "ln_characters",
    "ln_template",
    "ln_context",
    "ln_turn",
    "tools",
    "json_object",
    "json_schema",
    "not_only_text",
    "limited",
    "ln_max_tokens",
)
#: Names of the columns of ``Features.structure``.
STRUCTURE = TEXT_COLUMNS + REQUEST_COLUMNS

#: Bytes, by the column that counts them, or has their share of all bytes; in the order of the columns.
_CLASSES = {
    "ln_lines": "\n",
    "word_bytes": "".join(chr(b) for b in range(256) if b >= 128 or chr(b).isalnum()),
    "digits": "0123456789",
    "capitals": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "punctuation": ".,;:!'\"-()",
    "code_marks": "{}[]`_;=<>#$\\|&@~",
    "maths_marks": "+*/^=<>%",
    "non_ascii": "".join(map(chr, range(128, 256))),
    "question_marks": "?",
}
#: Words that are one token, by the column that counts them.
_WORDS = {
    "question_words": "who what when where which why how whose whom is are does can should",
    "reasoning_words": "why prove explain derive reason compare analyze analyse evaluate design plan step steps because implications"
    " critique optimize debug",
    "code_words": "def class import return function select from public const void var let print null sql python javascript java regex"
    " error exception",
    "simple_words": "translate summarize summarise classify extract rewrite list label yes no correct spelling title tag format convert",
}
#: Powers of it tell kinds of tokens apart.
_ODD = 0x9E3779B97F4A7C15
#: Counts that are packed into one whole number, and the bits of each: more than the bytes of all tokens that are read.
_PACKED, _BITS = 3, 21
_SHIFTS, _MASK = np.arange(_PACKED) * _BITS, (1 << _BITS) - 1
#: The columns of text, and the size [bytes].
_WIDTH = len(TEXT_COLUMNS) + 1
#: Columns that are logarithms of a count: those named ln_, question marks, and the lists of words.
_LOGS = np.array([c.startswith("ln_") or c.endswith("_words") or c == "question_marks" for c in STRUCTURE])


@cache
def _kinds() -> tuple[NDArray[np.uint16], I64]:
    """Return the kind of each token of the vocabulary, and what a kind adds to TEXT_COLUMNS and the size [bytes], packed: (kinds, 5).

    Tokens with the same counts are of one kind: some 2,000, which stay in cache. They are told apart by a sum of random multiples
    of the counts.
    """
    tokens, marks = vocabulary(), [pow(_ODD, j + 2, 1 << 64) for j in range(len(_CLASSES) + 1)]
    listed = np.sum([_listed(words, len(tokens)) << j for j, words in enumerate(_WORDS.values())], 0)
    of_byte = [marks[0] + sum(m for m, members in zip(marks[1:], _CLASSES.values(), strict=True) if chr(b) in members) for b in range(256)]
    each = np.array([m % (1 << 64) for m in of_byte], np.uint64)[np.frombuffer(b"".join(tokens), np.uint8)]
    ends = np.cumsum([*map(len, tokens)])
    key = np.diff(np.append(np.uint64(0), each.cumsum())[ends], prepend=np.uint64(0)) + listed.astype(np.uint64) * np.uint64(_ODD)
    _, first, kind = np.unique(key, return_index=True, return_inverse=True)
    counts = np.array([_counts(tokens[i], listed[i]) for i in first.tolist()])
    return kind.astype(np.uint16), (counts.reshape(len(first), -1, _PACKED) << _SHIFTS).sum(2)


def _counts(token: bytes, listed: int) -> list[int]:
    """Return what a token adds to each column, and its size [bytes]; ``listed`` has a bit for each list that it is in."""
    inside = [len(token) - len(token.translate(None, members.encode("latin-1"))) for members in _CLASSES.values()]
    return [1, *inside, *(int(listed) >> j & 1 for j in range(len(_WORDS))), len(token)]


def _listed(words: str, n: int) -> NDArray[np.uint8]:
    """Return which of ``n`` tokens are one of the words, small or capitalised, after a blank or not."""
    ids, bounds = token_ids([form for w in words.split() for form in (w, " " + w, w.title(), " " + w.title())])
    found = np.zeros(n, np.uint8)
    found[ids[bounds[:-1][np.diff(bounds) == 1]]] = 1
    return found


def amounts(ids: U32, bounds: I64) -> NDArray[np.float64]:
    """Return the TEXT_COLUMNS of each text before logarithms, given the ids of its tokens, see ``token_ids``."""
    kind, adds = _kinds()
    packed = summed(np.ascontiguousarray(adds.take(kind.take(ids), 0).T), bounds).T
    out = (packed[:, :, None] >> _SHIFTS & _MASK).reshape(len(packed), _WIDTH).astype(float)
    out[:, 2:9] /= np.maximum(out[:, -1:], 1.0)
    return out[:, :-1]


def structure(requests: Requests, text: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the STRUCTURE of each request, given the ``amounts`` of its deciding turn."""
    form = requests.response_format
    columns = (
        [*map(len, requests.user)],
        [*map(len, requests.system)],
        requests.context,
        requests.turn,
        requests.has_tools,
        form == 1,
        form == 2,
        [*map(bool, requests.modalities)],
        requests.max_tokens > 0,
        requests.max_tokens,
    )
    out = np.empty((len(requests), len(STRUCTURE)))
    out[:, : len(TEXT_COLUMNS)] = text
    for j, column in enumerate(columns, len(TEXT_COLUMNS)):
        out[:, j] = column
    np.log1p(out, out=out, where=_LOGS)
    return out.astype(np.float32)


def scaled(shape: NDArray[np.float32], mean: NDArray[Any], scale: NDArray[Any]) -> NDArray[np.float64]:
    """Return structure as it is weighed: (x − mean) · scale, within ±8."""
    within: NDArray[np.float64] = ((shape.astype(np.float64) - mean) * scale).clip(-8, 8)
    return within
