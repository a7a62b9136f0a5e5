"""Answers: what kind of answer a question asks for, and which words of a text could be one.

In: a question, a sentence. Out: the kind (a name, a place, a time, an amount, a reason, anything), whether a sentence has
something of that kind that the question does not already say, and a sentence reduced to its names, numbers and quotations.
English question words; in other languages everything is ``what``. Knows nothing of tokens or budgets.
"""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache

from planner.text.sentences import FUNCTION_WORDS, core, words

__all__ = ["KINDS", "answer_kind", "has_kind", "named", "terse", "without_articles"]

KINDS = ("when", "amount", "who", "where", "why", "what")
_ASKS = (
    ("when", r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|century|decade)\b"),
    ("amount", r"\bhow (?:many|much|old|long|far|tall|high|large|often|big|deep|fast|wide|heavy|quickly|common|strong|close|late|early)\b"
               r"|\bper ?cent(?:age)?\b|\b(?:what|which) (?:share|number|amount|age|temperature|population|price|speed|percent\w*)\b"),
    ("who", r"\bwho(?:m|se)?\b"),
    ("where", r"\bwhere\b|\b(?:what|which) (?:city|country|town|state|place|island|river|village|county|region|university|school)\b"),
    ("why", r"\bwhy\b"),
)  # fmt: skip
_KIND = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _ASKS)
_MONTHS = frozenset(re.findall(r"\w+", "january february march april may june july august september october november december"))
_DAYS = frozenset(re.findall(r"\w+", "monday tuesday wednesday thursday friday saturday sunday"))
_NUMBERS = frozenset(
    re.findall(
        r"\w+",
        """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
        twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen half third quarter twice once first
        second""",
    )
)
_TIME = re.compile(r"\b1\d{3}\b|\b20\d\d\b|\b(?:century|decade|\d+0s|spring|summer|autumn|winter)\b", re.IGNORECASE)
_REASON = re.compile(r"\b(?:because|since|so|as|to|due|for|caused?|reason|thus|led|results?|owing)\b", re.IGNORECASE)
_AT = re.compile(r"\b(?:[Aa]t|[Ii]n|[Oo]n|[Nn]ear|[Ff]rom|[Tt]o|[Oo]f)\s+(?:the\s+)?([^\W\d_a-z][\w'’-]*)")
_ARTICLES = frozenset(("a", "an", "the"))
_LINKS = frozenset(("of", "the", "and", "for", "de", "in", "van", "von"))
#: Function words without which a sentence says something else: negations, conditions, limits, order.
_DECISIVE = frozenset(
    re.findall(r"\w+", "no not nor without if only or than until before after under over between against may might must should")
)
_STOPS = re.compile(r"[,.;:!?]$")
_QUOTED = re.compile(r"[\"“„«]\S(?:[^\"”“»]{0,60}\S)?[\"”»]")


def answer_kind(question: str) -> str:
    """Return which of KINDS the question asks for.

    >>> [answer_kind(q) for q in ("In which year was it built?", "How many died?", "Whose idea was it?", "What is a seiche?")]
    ['when', 'amount', 'who', 'what']
    """
    return next((kind for kind, pattern in _KIND if pattern.search(question)), "what")


def has_kind(kind: str, sentence: str, asked: Set[str]) -> bool:
    """Say whether ``sentence`` holds something of ``kind`` that is not among the question's own words, ``asked``.

    >>> has_kind("who", "Ada Byron wrote it.", {"wrote"}), has_kind("who", "Ada wrote it.", {"ada"})
    (True, False)
    """
    if kind == "when":
        return bool(_TIME.search(sentence)) or any(core(w) in _MONTHS | _DAYS and w[:1].isupper() for w in sentence.split())
    if kind == "amount":
        return any(_is_number(w) and w not in asked for w in words(sentence))
    if kind == "where":
        return any(core(m[1]) not in asked and core(m[1]) not in _MONTHS | _DAYS for m in _AT.finditer(sentence))
    if kind == "who":
        return any(_is_name(w) and core(w) not in asked for w in sentence.split())
    return bool(_REASON.search(sentence)) if kind == "why" else True


def named(kind: str, text: str, asked: Set[str]) -> str:
    """Reduce ``text`` to its names, numbers (with what they count) and quotations, as far as ``kind`` may be one of them.

    Runs that only repeat the question are left out; the order stays.

    >>> named("who", "In 1874 the work was finished by Ada Byron of Turin.", {"work"})
    'Ada Byron of Turin.'
    >>> named("amount", "It has 21 arches of local stone.", set())
    '21 arches'
    """
    tokens, keep = text.split(), set()
    for i, token in enumerate(tokens):
        if kind != "amount" and (_is_name(token) or (kind in ("when", "what") and core(token) in _MONTHS | _DAYS)):
            keep.add(i)
        elif kind in ("when", "amount", "what") and _is_number(core(token)):
            keep |= {i, *_counted(tokens, i)}
    keep |= {i for i in range(1, len(tokens) - 1) if {i - 1, i + 1} <= keep and core(tokens[i]) in _LINKS}
    if kind in ("what", "who"):
        keep |= _quoted(text)
    return " ".join(tokens[i] for run in _runs(keep) if any(core(tokens[i]) not in asked for i in run) for i in run)


@lru_cache(65_536)
def _is_name(token: str) -> bool:
    word = core(token)
    return bool(re.match(r"[\W_]*[^\W\d_a-z]", token)) and token != token.lower() and word not in FUNCTION_WORDS | _MONTHS | _DAYS


@lru_cache(65_536)
def _is_number(word: str) -> bool:
    return any(c.isdigit() for c in word) or word in _NUMBERS


def _counted(tokens: list[str], i: int) -> list[int]:
    """Return where the words stand that say what the number at ``i`` counts."""
    found: list[int] = []
    while len(found) < 3 and i + 1 < len(tokens) and not _STOPS.search(tokens[i]):
        i += 1
        found.append(i)
        if core(tokens[i]) not in ("per", "of", "to", "and", "cent", "a"):
            break
    return found


def _quoted(text: str) -> set[int]:
    return {text.count(" ", 0, m.start()) + k for m in _QUOTED.finditer(" ".join(text.split())) for k in range(len(m[0].split()))}


def _runs(keep: Set[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for i in sorted(keep):
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def without_articles(text: str) -> str:
    """Drop a, an and the, unless they are part of a name.

    >>> without_articles("The mill burned after a visit to The Hague.")
    'mill burned after visit to The Hague.'
    """
    return " ".join(w for i, w in enumerate(text.split()) if w.lower() not in _ARTICLES or (i > 0 and w[0].isupper()))


def terse(text: str) -> str:
    """Drop English function words, but none that turns the meaning, nor the ``of`` and ``and`` inside a phrase; closing marks stay.

    >>> terse("The castle was not sold to the heirs of the duke, which surprised many.")
    'castle not sold heirs of duke, surprised.'
    """
    tokens = text.split()
    full = [core(t) not in FUNCTION_WORDS or core(t) in _DECISIVE or (len(core(t)) == 1 and t[0].isupper()) for t in tokens]
    out: list[str] = []
    for i, token in enumerate(tokens):
        if full[i] or _joins(tokens, full, i):
            out.append(token)
        elif out and (mark := re.search(r"[,;:.!?)\"”]+$", token)):
            out[-1] = re.sub(r"[,;:.]+$", "", out[-1]) + mark[0]
    return " ".join(out)


def _joins(tokens: list[str], full: list[bool], i: int) -> bool:
    """Say whether the word at ``i`` joins two full words, an article aside."""
    after = i + 2 if i + 1 < len(tokens) and core(tokens[i + 1]) in _ARTICLES else i + 1
    return (
        core(tokens[i]) in ("of", "and")
        and i > 0
        and after < len(tokens)
        and full[i - 1]
        and full[after]
        and not _STOPS.search(tokens[i - 1])
    )
