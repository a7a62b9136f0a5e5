"""Related: how near two English words are in a question and its answer: one word in two forms, or a near-synonym.

In: two words in lower case. Out: a nearness in [0, 1]. Forms are told by shared beginnings and by character trigrams, so that
no stemmer is needed and other alphabetic languages work; synonyms by a short list of what people ask about, since no
thesaurus may be downloaded. Knows nothing of sentences.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache

__all__ = ["form", "synonym"]

#: Words that stand for each other between a question and a text, one group a line; a word may be in several.
_GROUPS = """
found establish create start begin form set launch open introduce
build construct erect design make architect builder
die death kill dead perish victim survive casualty
born birth native
live inhabit reside population inhabitant resident people home settle
write author novel book publish writer compose
win champion victory title defeat beat award prize medal honor
lead head command rule chair govern direct manage leader chief president manager director
buy purchase acquire sell pay cost price spend fund finance expense money charge
big large great huge main major
small little tiny minor
fast quick rapid speed rate
tall high height elevation
long length last duration
begin start first initial early originally
end finish final last close stop cease
near close next border
call name nickname known title term
employ work job hire worker profession occupation career employer
marry wife husband spouse marriage wedding
child son daughter parent father mother family
brother sister sibling
teach school student study educate learn train university college education
produce manufacture create product
use utilize purpose serve
cause reason because lead result due trigger
show reveal demonstrate prove
include contain consist comprise member part
locate situate lie place site location stand
move transfer relocate
change alter replace convert become
increase rise grow gain raise
decrease fall decline drop reduce lower
prevent stop halt avoid
allow permit let enable
forbid ban prohibit
help assist aid support
attack invade battle war fight
join unite merge union combine
leave depart quit exit
get receive obtain gain earn
give provide grant offer supply
discover find identify discovery
say claim state argue believe think
reject refuse decline deny
choose select elect appoint
own possess property owner belong
law act bill legislation rule
money dollar pound euro
movie film picture
song track single album record music
doctor physician medicine medical drug treatment
ship boat vessel
car vehicle automobile
city town village place
country nation state land
church religion religious faith
illness disease sick sickness
color colour red blue green white black gold yellow
percent percentage share proportion
number amount total quantity
important significant key
different various vary
travel journey trip
food eat feed diet meal
see view look watch
keep maintain retain hold
break destroy damage ruin
fix repair restore mend
hurt harm injure damage danger
crime criminal illegal
king queen monarch ruler emperor
army military troop soldier force
company firm business corporation
scientist researcher scholar
critic opponent oppose opposition enemy
"""
_IRREGULAR = """
begin began begun|build built|buy bought|sell sold|pay paid|win won|lead led|write wrote written|make made|leave left
give gave given|get got|find found|say said|think thought|choose chose chosen|fall fell fallen|rise rose risen|grow grew grown
become became|keep kept|break broke broken|teach taught|die dying|lie lay|see saw seen|feed fed|eat ate eaten|fight fought
hold held|know knew known|show shown|spend spent
"""
_ENDINGS = (("ies", "y"), ("ied", "y"), ("sses", "ss"), ("ing", ""), ("ers", ""), ("ed", ""), ("es", ""), ("s", ""), ("er", ""), ("or", ""))
#: Nearness of a synonym, of a word with another ending, and of one that only begins alike; trigrams below _ALIKE count nothing.
_SYNONYM, _ENDING, _BEGINNING, _ALIKE = 0.6, 0.9, 0.7, 0.5


def _groups() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for line in _GROUPS.strip().splitlines():
        for word in line.split():
            found[word] |= {*line.split()}
    return {word: frozenset(others) for word, others in found.items()}


_RELATED = _groups()
_BASES = {past: base for entry in _IRREGULAR.replace("\n", "|").split("|") if entry for base, *rest in [entry.split()] for past in rest}


@lru_cache(65_536)
def form(a: str, b: str) -> float:
    """Return how likely two words are forms of one, in [0, 1]; numbers are only ever themselves.

    >>> form("established", "establish"), form("design", "designer"), form("1871", "1872"), form("river", "stone")
    (0.9, 0.9, 0.0, 0.0)
    """
    if a == b:
        return 1.0
    if (a[0] != b[0] and min(len(a), len(b)) < 5) or a.isdigit() or b.isdigit():
        return 0.0
    longer, shorter = max(len(a), len(b)), min(len(a), len(b))
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), shorter)
    shared, both = len(_trigrams(a) & _trigrams(b)), len(_trigrams(a)) + len(_trigrams(b))
    alike = 2 * shared / both if 4 * shared >= 2 * _ALIKE * both else 0.0
    if same >= 3 and shorter - same <= 2 and longer - same <= 4:
        return max(_ENDING, alike)
    return max(_BEGINNING if same >= 5 and 2 * same >= longer else 0.0, alike)


@lru_cache(65_536)
def _trigrams(word: str) -> frozenset[str]:
    marked = f"^{word}$"
    return frozenset(marked[i : i + 3] for i in range(len(marked) - 2))


@lru_cache(65_536)
def synonym(a: str, b: str) -> float:
    """Return how likely two words stand for each other between a question and a text, in [0, 1].

    >>> synonym("started", "founded"), synonym("built", "builds"), synonym("river", "stone")
    (0.6, 1.0, 0.0)
    """
    x, y = _base(a), _base(b)
    return 1.0 if x == y else _SYNONYM * (y in _RELATED.get(x, ()))


@lru_cache(65_536)
def _base(word: str) -> str:
    """Return the listed word that ``word`` is a form of, else itself."""
    if word in _BASES:
        return _BASES[word]
    if word in _RELATED:
        return word
    for ending, instead in _ENDINGS:
        stem = word[: -len(ending)] + instead
        if word.endswith(ending) and len(stem) >= 3:
            for candidate in (stem, f"{stem}e", stem[:-1] if stem[-1] == stem[-2] else stem):
                if candidate in _RELATED:
                    return candidate
    return word
