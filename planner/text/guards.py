"""Guards: what two questions must share to the letter before they may count as the same, however alike their vectors are.

In: a text. Out: its numbers in order, its names in order, and the words that turn a question round. Vectors hardly tell
"order 123" from "order 124", "from Paris to Rome" from "from Rome to Paris", "turn on" from "turn off"; these lists do. They are of
wording, not of meaning, and of English, German, French and Spanish words: a guard keeps too much apart (German capitals, "2" and
"two") rather than too little, and whoever needs to know what still slips through measures it. Knows nothing of caches.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Guard", "guard"]

_TOKEN = re.compile(r"[^\s\"“”„«»()\[\]{}<>,;!?]+")
_EDGE = ".:-–—'’`*_#/"
_NEGATED = ("n't", "n’t")
_ME = frozenset(("I", *(f"I{mark}{end}" for mark in "'’" for end in ("m", "d", "ve", "ll"))))
_SAID = frozenset(
    re.findall(
        r"\w+",
        """two three four five six seven eight nine ten eleven twelve twenty thirty hundred thousand million half double triple
        twice second third last zwei drei vier fünf sechs sieben acht neun zehn hundert tausend deux trois quatre cinq sept huit
        neuf dix dos tres cuatro cinco seis siete ocho nueve diez""",
    )
)
#: Of a pair of opposites one is enough, as the other text lacks it.
_TURNS = frozenset(
    re.findall(
        r"\w+",
        """not no never none nothing nobody neither nor cannot without except unless off out disable disabled deactivate
        disconnect remove before after until against less fewer least lower decrease minimum min cheapest worst old oldest
        nicht kein keine keinen keiner keinem nie niemals ohne aus vor nach weniger pas jamais sans sauf avant après moins
        nunca sin antes después menos""",
    )
)


class Guard(NamedTuple):
    """What must be equal. ``numbers`` and ``names`` are in order of the text, ``turns`` sorted, each as often as it occurs."""

    numbers: tuple[str, ...]
    names: tuple[str, ...]
    turns: tuple[str, ...]


def guard(text: str) -> Guard:
    """Return what a text that means the same must share with ``text``.

    Numbers are all words with a digit in them, and number words. Names are words with a capital that do not open a sentence,
    and words with a capital inside. ``n't`` counts as "not", "cannot" too.

    >>> guard("Why isn't order A-123 for Ada on plan B here? It's two days late.")
    Guard(numbers=('a-123', 'two'), names=('ada', 'b'), turns=('not',))
    >>> guard("Where is order 123?") == guard("where's my order: 123") != guard("Where is order 124?")
    True
    """
    numbers, names, turns = [], [], []
    for found in _TOKEN.finditer(text):
        word = found[0].strip(_EDGE)
        plain = word.casefold()
        if any(c.isdigit() for c in plain) or plain in _SAID:
            numbers.append(plain)
        elif plain in _TURNS or plain.endswith(_NEGATED):
            turns.append("not" if plain == "cannot" or plain.endswith(_NEGATED) else plain)
        elif _is_name(word, text, found.start()):
            names.append(plain.removesuffix("'s").removesuffix("’s"))
    return Guard(tuple(numbers), tuple(names), tuple(sorted(turns)))


def _is_name(word: str, text: str, start: int) -> bool:
    if word in _ME or not any(c.isupper() for c in word):
        return False
    before = text[max(0, start - 8) : start].rstrip(' \t*-#>"“„«([')
    return any(c.isupper() for c in word[1:]) or not (before == "" or before[-1] in ".!?:\n")
