"""The shape of a request as a few dense numbers: lengths, digits, code, questions, tools, formats, position.

In: Requests and their deciding turns. Out: a float32 matrix with one named column each. Knows nothing of n-grams
or weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.router.requests import Requests

__all__ = ["REQUEST_COLUMNS", "STRUCTURE", "TEXT_COLUMNS", "amounts", "scaled", "structure"]

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


#: The code of every word that is in a list.
_CODE_OF: dict[bytes, int] = {
    word.encode(): len(_GROUPS) + sum(1 << j for j, words in enumerate(_WORDS.values()) if word in words.split())
    for word in " ".join(_WORDS.values()).split()
}
#: The code of any other word.
_PLAIN = repeat(len(_GROUPS))
#: Bytes that no word is made of become blanks.
_BLANKED = bytes(b if chr(b) in _CLASSES["word_bytes"] else 32 for b in range(256))


def amounts(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the TEXT_COLUMNS of each text before logarithms."""
    n, encoded = len(texts), [t.encode("utf-8", "replace") for t in texts]
    codes = [_codes(raw) for raw in encoded]
    flat: NDArray[Any] = np.frombuffer(b"".join(codes), np.uint8)
    if n != 1:
        flat = flat + _CODES * np.repeat(np.arange(n), [len(c) for c in codes])
    out: NDArray[np.float64] = np.bincount(flat, minlength=n * _CODES).reshape(n, _CODES).astype(float) @ _ADDS
    out[:, 2] = np.minimum(out[:, 2] / np.maximum(out[:, 0], 1.0), 20.0)
    out[:, 3:9] /= np.array([len(raw) or 1.0 for raw in encoded])[:, None]
    return out


def _codes(raw: bytes) -> bytes:
    """Return a code for every byte and for every word."""
    return raw.translate(_GROUP_OF) + bytes(map(_CODE_OF.get, raw.lower().translate(_BLANKED).split(), _PLAIN))


def structure(requests: Requests, text: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the STRUCTURE of each request, given the ``amounts`` of its deciding turn."""
    columns = (requests.context, requests.turn, requests.has_tools, requests.response_format, requests.max_tokens)
    rest = [
        (len(user), len(system), context, turn, tools, form == 1, form == 2, others != "", limit > 0, limit)
        for user, system, others, context, turn, tools, form, limit in zip(
            requests.user, requests.system, requests.modalities, *(c.tolist() for c in columns), strict=True
        )
    ]
    out = np.concatenate([text, np.array(rest, float).reshape(len(rest), len(REQUEST_COLUMNS))], 1)
    np.log1p(out, out=out, where=_LOGS)
    return out.astype(np.float32)


def scaled(shape: NDArray[np.float32], mean: NDArray[Any], scale: NDArray[Any]) -> NDArray[np.float64]:
    """Return structure as it is weighed: (x − mean) · scale, within ±8."""
    within: NDArray[np.float64] = ((shape.astype(np.float64) - mean) * scale).clip(-8, 8)
    return within
