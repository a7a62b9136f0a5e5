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

__all__ = ["REQUEST_COLUMNS", "STRUCTURE", "TEXT_COLUMNS", "amounts", "structure"]

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

#: Classes of bytes, by the column that counts them, or shares of them.
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
_WORDS = {
    "question_words": "who what when where which why how whose whom is are does can should",
    "reasoning_words": "why prove explain derive reason compare analyze analyse evaluate design plan step steps because implications"
    " critique optimize debug",
    "code_words": "def class import return function select from public void const var let print null sql python javascript java regex"
    " error exception",
    "simple_words": "translate summarize summarise classify extract rewrite list label yes no correct spelling title tag format convert",
}
#: Bytes that are in the same classes are of one group, and words in the same lists: groups are counted, not bytes or words.
_BYTES = [tuple(chr(b) in members for members in _CLASSES.values()) for b in range(256)]
_GROUPS = sorted(set(_BYTES))
_GROUP_OF = bytes(map(_GROUPS.index, _BYTES))
_LISTS = 1 << len(_WORDS)
_CODES = len(_GROUPS) + _LISTS
_FLAG_BITS = 16
#: Columns that are logarithms of a count: those named ln_, question marks, and the lists of words.
_LOGS = np.array([c.startswith("ln_") or c.endswith("_words") or c == "question_marks" for c in STRUCTURE])


def _columns_of_codes() -> NDArray[np.float64]:
    """Return which column of text each code adds to, (codes, columns); a word adds to ``ln_words`` and to the lists it is in."""
    adds = np.zeros((_CODES, len(TEXT_COLUMNS)))
    for j, name in enumerate(_CLASSES):
        adds[: len(_GROUPS), TEXT_COLUMNS.index(name)] = [group[j] for group in _GROUPS]
    adds[len(_GROUPS) :, 0] = 1
    for j, name in enumerate(_WORDS):
        adds[len(_GROUPS) :, TEXT_COLUMNS.index(name)] = [mask >> j & 1 for mask in range(_LISTS)]
    return adds


_ADDS = _columns_of_codes()


@cache
def _code_of_word() -> NDArray[np.uint8]:
    """Return, for each hash bucket, the code of the lists with a word in it."""
    masks = np.zeros(1 << _FLAG_BITS, np.uint8)
    for j, words in enumerate(_WORDS.values()):
        masks[bucket(np.array([hash_word(w) for w in words.split()], np.uint64), _FLAG_BITS)] |= 1 << j
    return masks + np.uint8(len(_GROUPS))


def amounts(text: Text, words: U64, doc: I64) -> NDArray[np.float64]:
    """Return the TEXT_COLUMNS of each text before logarithms, given the hashes of its words and the texts these are in."""
    n = len(text)
    codes = np.concatenate([text.mapped(_GROUP_OF)[1:], _code_of_word().take(bucket(words, _FLAG_BITS))])
    if n != 1:
        codes = codes + _CODES * np.concatenate([np.repeat(np.arange(n), text.size + 1), doc])
    out: NDArray[np.float64] = np.bincount(codes, minlength=n * _CODES).reshape(n, _CODES) @ _ADDS
    out[:, 2] = np.minimum(out[:, 2] / np.maximum(out[:, 0], 1), 20)
    out[:, 3:9] /= np.maximum(text.size, 1)[:, None]
    return out


def structure(requests: Requests, text: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the STRUCTURE of each request, given the ``amounts`` of its deciding turn."""
    at = len(TEXT_COLUMNS)
    out = np.empty((len(requests), len(STRUCTURE)))
    out[:, :at] = text
    out[:, at] = [len(t) for t in requests.user]
    out[:, at + 1] = [len(t) for t in requests.system]
    out[:, at + 2] = requests.context
    out[:, at + 3] = requests.turn
    out[:, at + 4] = requests.has_tools
    out[:, at + 5] = requests.response_format == 1
    out[:, at + 6] = requests.response_format == 2
    out[:, at + 7] = [m != "" for m in requests.modalities]
    out[:, at + 8] = requests.max_tokens > 0
    out[:, at + 9] = requests.max_tokens
    np.log1p(out, out=out, where=_LOGS)
    return out.astype(np.float32)
