"""The shape of a request as a few dense numbers: lengths, digits, code, questions, tools, formats, position.

In: Requests and the bytes of their deciding turns. Out: a float32 matrix with one named column each. Knows nothing of n-grams
or weights.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from planner.router.hashing import I64, U64, Text, bucket, hash_word
from planner.router.requests import Requests

__all__ = ["REQUEST_COLUMNS", "STRUCTURE", "TEXT_COLUMNS", "request_structure", "text_structure"]

TEXT_COLUMNS = (
    "ln_words",
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

_CLASSES = (
    "0123456789",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    ".,;:!'\"-()",
    "{}[]`_;=<>#$\\|&@~",
    "+*/^=<>%",
    "".join(map(chr, range(128, 256))),
    "?",
    "\n",
)
_BYTES = np.array([[chr(b) in members for members in _CLASSES] for b in range(256)], float)
#: The text columns that are logarithms: words, lines, question marks, and the lists of words.
_LOGS = [0, 1, 9, 10, 11, 12, 13]
_WORDS = (
    "who what when where which why how whose whom is are does can should",
    "why prove explain derive reason compare analyze analyse evaluate design plan step steps because implications critique optimize debug",
    "def class import return function select from public void const var let print null sql python javascript java regex error exception",
    "translate summarize summarise classify extract rewrite list label yes no correct spelling title tag format convert",
)
_FLAG_BITS = 16
#: Which lists of _WORDS a bit mask stands for.
_LISTS = np.array([[mask >> j & 1 for j in range(len(_WORDS))] for mask in range(1 << len(_WORDS))], float)


@cache
def _masks() -> NDArray[np.int64]:
    """Return, for each hash bucket, the bit mask of the lists with a word in it."""
    masks = np.zeros(1 << _FLAG_BITS, np.int64)
    for j, words in enumerate(_WORDS):
        masks[bucket(np.array([hash_word(w) for w in words.split()], np.uint64), _FLAG_BITS)] |= 1 << j
    return masks


def text_structure(text: Text, words: U64, doc: I64, length: I64) -> NDArray[np.float32]:
    """Return the TEXT_COLUMNS of each text, given its words' hashes, texts and lengths [bytes]."""
    n, lists = len(text), len(_LISTS)
    count = _bytes_by_class(text)
    listed = np.bincount(doc * lists + _masks()[bucket(words, _FLAG_BITS)], minlength=n * lists).reshape(n, lists)
    n_words = listed.sum(1)
    out = np.empty((n, len(TEXT_COLUMNS)))
    out[:, 0] = n_words
    out[:, 1] = count[:, 7]
    out[:, 2] = np.minimum(np.bincount(doc, length, n) / np.maximum(n_words, 1), 20)
    out[:, 3:9] = count[:, :6] / np.maximum(text.size, 1)[:, None]
    out[:, 9] = count[:, 6]
    out[:, 10:] = listed @ _LISTS
    out[:, _LOGS] = np.log1p(out[:, _LOGS])
    return out.astype(np.float32)


def _bytes_by_class(text: Text) -> NDArray[np.float64]:
    """Return how many bytes of each class each text has, shape (n, classes)."""
    n = len(text)
    if n == 1:
        histogram = np.bincount(text.data, minlength=256)
    else:
        owner = np.repeat(np.arange(n) * 256, text.size + 1)
        histogram = np.bincount(owner + text.data[: len(owner)], minlength=256 * n)
    count: NDArray[np.float64] = histogram.reshape(n, 256).astype(float) @ _BYTES
    return count


def request_structure(requests: Requests) -> NDArray[np.float32]:
    """Return the REQUEST_COLUMNS of each request."""
    n = len(requests)
    characters = np.fromiter(map(len, requests.user), np.int64, n)
    template = np.fromiter(map(len, requests.system), np.int64, n)
    other = np.fromiter((bool(m) for m in requests.modalities), bool, n)
    form, limit = requests.response_format, requests.max_tokens
    logs = np.log1p([characters, template, requests.context, requests.turn])
    rest = [requests.has_tools, form == 1, form == 2, other, limit > 0, np.log1p(limit)]
    return np.column_stack([*logs, *rest]).astype(np.float32)
