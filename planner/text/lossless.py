r"""Lossless: the same text in fewer tokens: white space, JSON layout, and blocks that the prompt holds already.

In: the texts of one prompt, in order. Out: as many texts, none with more tokens than before. White space outside code and strings is
all that a text loses; a block that stands verbatim earlier in the prompt becomes a note that names its beginning. Information is
kept; that a model answers the same is not known here. Knows nothing of messages or questions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from planner.text.tokens import count_tokens

__all__ = ["is_json", "lossless", "minified", "squeezed", "without_repeats"]

_FENCE = re.compile(r"(^```[^\n]*\n.*?^```[^\n]*$)", re.MULTILINE | re.DOTALL)
_JSON_FENCE = re.compile(r"```json[^\n]*\n(.*?)\n?```[^\n]*", re.DOTALL)
_STRING_OR_SPACE = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')
_BLOCK = re.compile(r"(\n[ \t]*\n+)")
#: [tokens] A shorter block is left where it is: the note costs about a dozen.
_LEAST = 32
_FIRST_WORDS = 5


def lossless(texts: Sequence[str], encoding: str = "o200k_base") -> list[str]:
    r"""Return ``texts`` with JSON minified, white space squeezed and repeats noted; each as it was where that saves nothing.

    >>> lossless(['{"a": [1,  2]}', "Hello   there.\n\n\n\nBye.  "])
    ['{"a":[1,2]}', 'Hello there.\n\nBye.']
    """
    made = without_repeats([squeezed(minified(t)) for t in texts], encoding)
    before, after = count_tokens(texts, encoding), count_tokens(made, encoding)
    return [new if b < a else old for old, new, a, b in zip(texts, made, before.tolist(), after.tolist(), strict=True)]


def minified(text: str) -> str:
    r"""Return ``text`` without the white space of JSON's layout, where it is JSON as a whole or in a block fenced as json.

    Numbers and strings stay as they are written.

    >>> minified('{"price": 1.10,\n "note": "a  b"}'), minified("not { json }")
    ('{"price":1.10,"note":"a  b"}', 'not { json }')
    """
    if is_json(text):
        return _STRING_OR_SPACE.sub(r"\1", text)
    return _JSON_FENCE.sub(lambda m: m[0].replace(m[1], _STRING_OR_SPACE.sub(r"\1", m[1]), 1) if is_json(m[1]) else m[0], text)


def is_json(text: str) -> bool:
    """Say whether ``text`` is a JSON object or list.

    >>> is_json('{"a": 1}'), is_json("[1"), is_json("1")
    (True, False, False)
    """
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def squeezed(text: str) -> str:
    r"""Return ``text`` with single spaces within lines, no space at their ends and one empty line at most; indents and fenced code stay.

    >>> squeezed("a  b \n\n\n\n  c\td\n```\nx  =  1\n```")
    'a b\n\n  c d\n```\nx  =  1\n```'
    """
    parts = _FENCE.split(text)
    parts[::2] = [
        re.sub(r"\n{3,}", "\n\n", re.sub(r"(?<=\S)[ \t]+(?=\S)", " ", re.sub(r"[ \t]+$", "", p, flags=re.MULTILINE))) for p in parts[::2]
    ]
    return "".join(parts).strip("\n")


def without_repeats(texts: Sequence[str], encoding: str = "o200k_base") -> list[str]:
    r"""Replace every paragraph of at least 32 tokens that an earlier one of ``texts``, or the same, holds verbatim by a note.

    >>> rules = "Refunds are paid within " + "fourteen days " * 16 + "after the parcel has come back."
    >>> without_repeats([rules, "Hi.\n\n" + rules])[1]
    'Hi.\n\n[repeats above: Refunds are paid within fourteen …]'
    """
    seen: set[str] = set()
    out = []
    for text in texts:
        parts = _BLOCK.split(text)
        for i in range(0, len(parts), 2):
            block = parts[i].strip()
            if block in seen:
                parts[i] = f"[repeats above: {' '.join(block.split()[:_FIRST_WORDS])} …]"
            elif len(block) > _LEAST and count_tokens([block], encoding)[0] >= _LEAST:
                seen.add(block)
        out.append("".join(parts))
    return out
