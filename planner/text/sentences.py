"""Sentences: a text as the pieces that can be left out of it: paragraphs, headings, sentences, clauses, words.

In: any text. Out: its sentences in order, each with the paragraph and the line it stands in and whether it is a heading or
prose at all: a line of code, JSON or a table is one piece, and nobody takes words out of it. Knows nothing of questions or tokens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["FUNCTION_WORDS", "Sentence", "clauses", "core", "sentences", "words"]

#: English words that say how others relate; what carries a fact is none of them.
FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a about after again against all also although among an and any are as at be because been before being between both but by can
    could did do does down during each few for from had has have he her here him his how i if in into is it its just many may me might more
    most much must my no nor not of off on only onto or other our out over own per same shall she should since so some such than that the
    their them then there these they this those though through to too toward towards under until up upon us very via was we were what when
    where which while who whom whose why will with within without would you your""",
    )
)
_WORD = re.compile(r"[^\W_]+(?:[.,'’][^\W_]+)*")
_LINE = re.compile(r"[^\n]+")
_END = re.compile(r"[.!?][\"”’')\]]*\s+(?=[\"“'(\[]?[^\W_a-z])|(?<=[。！？])")
#: A full stop after these ends no sentence; neither does one after a single capital.
_ABBREVIATION = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|St|No|Prof|Gen|Col|Sgt|Jr|Sr|Inc|Ltd|Co|Corp|Mt|Ft|vs|etc|approx|[Ff]ig|cf|al|e\.g|i\.e|a\.m|p\.m|[A-Z])\.$"
)
_MARK = re.compile(r"\s*(?:\[\d{1,3}\]|\(\d{1,3}\)|\d{1,3}[.)]|[-*•])\s+")
_JOINTS = (
    "and|but|while|which|who|whose|whom|where|when|so|because|although|since|after|before|until|if|as|with|of|in|on|at|for|from|by|to|or"
    "|then"
)
_CLAUSE = re.compile(
    rf"(?<=[;:])\s+|\s+(?=[–—(])|(?<=\))\s+|(?<=,)\s+(?=(?:{_JOINTS}|[a-z]+ing|[a-z]+ed)\b)"
    r"|\s+(?=(?:because|although|which|while|until|after|before|when|where|who|since|but)\s)"
)
#: [words] A heading is shorter, a clause no shorter; a line of which less than this share is letters, digits and spaces is no prose.
_HEADING, _CLAUSE_WORDS, _PROSE = 12, 4, 0.88


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence as written.

    ``line`` and ``paragraph`` count from 0; ``mark`` is what numbers its line, a list's or a citation's. A heading is a short line
    without a closing mark.
    """

    text: str
    line: int
    paragraph: int
    mark: str
    heading: bool
    prose: bool


def words(text: str) -> list[str]:
    """Return the words of ``text`` in lower case, in order; numbers keep their points and commas.

    >>> words("Ada's 1,200.5 km, twice")
    ["ada's", '1,200.5', 'km', 'twice']
    """
    return _WORD.findall(text.lower())


@lru_cache(65_536)
def core(word: str) -> str:
    """Return a word as written without the marks around it, in lower case.

    >>> core('("Grain')
    'grain'
    """
    return re.sub(r"^\W+|\W+$", "", word).lower()


def sentences(text: str) -> list[Sentence]:
    r"""Split ``text`` at line ends and, where a line is prose, at sentence ends.

    >>> [s.text for s in sentences("Title\nDr. Byron came. He left at 5 p.m. on Monday.")]
    ['Title', 'Dr. Byron came.', 'He left at 5 p.m. on Monday.']
    >>> [(s.paragraph, s.heading) for s in sentences("Title\nOne.\n\nTwo.")]
    [(0, True), (0, False), (1, False)]
    """
    found: list[Sentence] = []
    paragraph, end, fenced = 0, None, False
    for number, line in enumerate(_LINE.finditer(text)):
        paragraph += end is not None and text.count("\n", end, line.start()) > 1
        end = line.end()
        fence = line[0].lstrip().startswith("```")
        prose = not (fenced or fence) and _is_prose(line[0])
        fenced ^= fence
        mark = _MARK.match(line[0]) if prose else None
        parts = _split(line[0][mark.end() :] if mark else line[0]) if prose else [line[0].rstrip()]
        heading = prose and len(parts) == 1 and not re.search(r"[.!?:;。！？][\"”')\]]*$", parts[0]) and len(words(parts[0])) < _HEADING
        found += [Sentence(p, number, paragraph, mark[0].strip() if mark else "", heading, prose) for p in parts if p]
    return found


def _is_prose(line: str) -> bool:
    plain = sum(c.isalnum() or c.isspace() for c in line)
    return plain >= _PROSE * len(line) and not line.startswith(("    ", "\t")) and not line.lstrip().startswith(("{", "|", "<"))


def _split(line: str) -> list[str]:
    parts, start = [], 0
    for m in _END.finditer(line):
        if not _ABBREVIATION.search(line[start : m.start() + 1]):
            parts.append(line[start : m.end()].strip())
            start = m.end()
    return [*parts, line[start:].strip()]


def clauses(sentence: str) -> list[str]:
    """Split a sentence before what hangs on it: after a semicolon, before a bracket, a conjunction or a relative word.

    Parts of fewer than four words stay with their neighbour.

    >>> clauses("The mill burned in 1871, and the owner, who had no insurance, left the town.")
    ['The mill burned in 1871, and the owner,', 'who had no insurance, left the town.']
    """
    parts: list[str] = []
    for part in filter(None, map(str.strip, _CLAUSE.split(sentence))):
        if parts and min(len(words(part)), len(words(parts[-1]))) < _CLAUSE_WORDS:
            parts[-1] = f"{parts[-1]} {part}"
        else:
            parts.append(part)
    return parts
