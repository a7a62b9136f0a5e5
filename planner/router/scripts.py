"""The script a text is written in, as far as its letters tell: a cheap stand-in for its language.

In: a text. Out: one of SCRIPTS. Text in ASCII is Latin, and so is text without letters; Latin with many accented letters is a
class of its own. Knows nothing of models or labels.
"""

from __future__ import annotations

import numpy as np

__all__ = ["SCRIPTS", "script"]

#: [characters] of a text that are looked at.
_READ = 2_048
#: Share of accented letters among the letters from which on Latin text counts as accented.
_ACCENTED = 0.02
#: First code point of each range, and what its letters are: "" for no letters.
_RANGES = (
    (0x00, ""),
    (0x41, "latin"),
    (0x5B, ""),
    (0x61, "latin"),
    (0x7B, ""),
    (0xC0, "accented latin"),
    (0x370, "greek"),
    (0x400, "cyrillic"),
    (0x530, "other"),
    (0x590, "hebrew"),
    (0x600, "arabic"),
    (0x780, "other"),
    (0x900, "indic"),
    (0xE00, "southeast asian"),
    (0xF00, "other"),
    (0x1000, "southeast asian"),
    (0x10A0, "other"),
    (0x1100, "hangul"),
    (0x1200, "other"),
    (0x1E00, "accented latin"),
    (0x1F00, "greek"),
    (0x2000, ""),
    (0x2E80, "han"),
    (0x3000, ""),
    (0x3040, "kana"),
    (0x3100, "han"),
    (0x3130, "hangul"),
    (0x3190, "han"),
    (0xA000, "other"),
    (0xAC00, "hangul"),
    (0xD7B0, ""),
    (0xF900, "han"),
    (0xFB00, "other"),
    (0xFB50, "arabic"),
    (0xFE00, ""),
    (0xFE70, "arabic"),
    (0xFEFF, ""),
    (0xFF66, "kana"),
    (0xFFA0, ""),
    (0x10000, "other"),
    (0x1F000, ""),
    (0x20000, "han"),
    (0x40000, ""),
)
#: What ``script`` returns.
SCRIPTS = tuple(sorted({name for _, name in _RANGES if name}))
_STARTS = [start for start, _ in _RANGES]
_NAMES = ("", *SCRIPTS)
#: The code of every code point up to the last range.
_CODES = np.repeat([_NAMES.index(name) for _, name in _RANGES], np.diff([*_STARTS, _STARTS[-1] + 1])).astype(np.uint8)
_LATIN, _MARKED, _KANA, _HAN = (_NAMES.index(name) for name in ("latin", "accented latin", "kana", "han"))


def script(text: str) -> str:
    """Return the script most letters of ``text`` are in; Chinese characters beside kana are Japanese.

    >>> script("Where is my order?"), script("Où est ma commande, s'il vous plaît ?"), script("我的订单在哪里？")
    ('latin', 'accented latin', 'han')
    >>> script("注文はどこですか"), script("Где мой заказ?"), script("42 + 1")
    ('kana', 'cyrillic', 'latin')
    """
    if text.isascii():
        return "latin"
    points = np.frombuffer(text[:_READ].encode("utf-32-le", "surrogatepass"), np.uint32)
    count: list[int] = np.bincount(_CODES.take(points, mode="clip"), minlength=len(_NAMES)).tolist()
    count[0] = 0
    if count[_MARKED] >= _ACCENTED * (count[_LATIN] + count[_MARKED]):
        count[_MARKED] += count[_LATIN]
    else:
        count[_LATIN] += count[_MARKED]
    if count[_KANA] * 10 > count[_HAN]:
        count[_KANA] += count[_HAN]
    return _NAMES[count.index(max(count))] if any(count) else "latin"
