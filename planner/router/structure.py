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
_BYTES = np.array([[chr(b) in members for members in _CLASSES] for b in range(256)], np.float32)
_WORDS = (
    "who what when where which why how whose whom is are does can should",
    "why prove explain derive reason compare analyze analyse evaluate design plan step steps because implications critique optimize debug",
    "def class import return function select from public void const var let print null sql python javascript java regex error exception",
    "translate summarize summarise classify extract rewrite list label yes no correct spelling title tag format convert",
)
_FLAG_BITS = 16


@cache
def _flags() -> NDArray[np.float32]:
    table = np.zeros((1 << _FLAG_BITS, len(_WORDS)), np.float32)
    for column, words in enumerate(_WORDS):
        at = bucket(np.array([hash_word(w) for w in words.split()], np.uint64), _FLAG_BITS)
        table[at, column] = 1
    return table


def text_structure(text: Text, words: U64, doc: I64, length: I64) -> NDArray[np.float32]:
    """Return the TEXT_COLUMNS of each text, given its words' hashes, texts and lengths [bytes]."""
    n = len(text)
    size = np.diff(text.ends, prepend=0) - 1
    count = _sum_bytes(text)
    n_words = np.bincount(doc, minlength=n)
    flags = _flags()[bucket(words, _FLAG_BITS)]
    flagged = np.column_stack([np.bincount(doc, f, n) for f in flags.T])
    share = count / np.maximum(size, 1)[:, None]
    per_word = np.bincount(doc, length, n) / np.maximum(n_words, 1)
    return np.column_stack(
        [np.log1p(n_words), np.log1p(count[:, 7]), np.minimum(per_word, 20), share[:, :6], np.log1p(count[:, 6]), np.log1p(flagged)]
    ).astype(np.float32)


def _sum_bytes(text: Text) -> NDArray[np.float64]:
    """Return how many bytes of each class each text has, shape (n, classes)."""
    if len(text) == 1:
        histogram = np.bincount(text.data, minlength=256)
    else:
        owner = np.repeat(np.arange(len(text)), np.diff(text.ends, prepend=-1))
        histogram = np.bincount(owner * 256 + text.data[: len(owner)], minlength=256 * len(text))
    return histogram.reshape(len(text), 256).astype(np.float64) @ _BYTES


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
