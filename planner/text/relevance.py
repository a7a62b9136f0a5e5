"""Relevance: which sentence of a context probably holds the answer to a question.

In: a question, sentences. Out: a probability per sentence, from a conditional logit over what can be seen without a model: how
much of the question the sentence says, in its words, in other forms of them, in near-synonyms; what its neighbours and its
heading say (a pronoun points back); whether it holds the kind of answer that is asked for; and whether it speaks of the names
that the best sentences bring up (the second hop). A word weighs what its rank in the tokenizer's vocabulary says, since merges
are learned in order of frequency: no corpus is needed. Knows nothing of budgets.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.text.answers import answer_kind, has_kind
from planner.text.related import form, synonym
from planner.text.sentences import FUNCTION_WORDS, Sentence, core, words
from planner.text.tokens import token_ids

__all__ = ["FEATURES", "WEIGHTS", "features", "relevance", "word_weight"]

Array = NDArray[np.float64]

#: What is seen of a sentence: the question's weight that it covers by forms of its words; what synonyms, the sentence before, the one
#: after, the one before if it begins with a pronoun, and its heading add to that; pairs of words in the question's order; a thing of the
#: kind asked for; names that the best sentences of other paragraphs bring up; its best single word; whether it opens its paragraph;
#: whether it is a heading itself.
FEATURES = ("own", "synonyms", "before", "after", "pronoun", "heading", "pairs", "kind", "names", "best", "opens", "is_heading")
#: A conditional logit fitted to benchmarks/data (reading, hops), rounded, then drawn towards overlap, of which real questions have more
#: than those, by the answers kept at 2×; benchmarks/data/reading_fresh.json was written before the last of them: it is nearly,
#: not fully, held out.
WEIGHTS = np.array([8.5, 6.0, 3.0, 1.2, 1.5, 0.6, 0.6, 1.7, 4.0, 1.8, -0.6, -3.6])
#: Share of the probability that is spread by length alone: what no word of the question points to.
_SPREAD = 0.05
_PRONOUNS = frozenset(re.findall(r"\w+", "it he she they this these its his her their the such that those"))
#: Part of a word's weight that is its rarity in the language; the rest is its rarity among the sentences.
_LANGUAGE = 0.6
#: Ranks in o200k: of all words that are no single token, and of a frequent function word.
_RANKS, _FREQUENT = 200_000, 300
#: The best sentences that lend their names, and how many names count.
_BEST, _NAMES = 3, 3


@lru_cache(65_536)
def word_weight(word: str) -> float:
    """Return how rare ``word`` is in the language, about 0 to 1: the logarithm of its rank in the o200k vocabulary.

    >>> word_weight("the") < word_weight("town") < word_weight("harbour")
    True
    """
    rank = _RANKS
    for spelled in (f" {word}", f" {word.capitalize()}"):
        ids, _ = token_ids([spelled])
        rank = min(rank, int(ids[0])) if len(ids) == 1 else rank
    return max(math.log(max(rank, 1) / _FREQUENT) / math.log(_RANKS / _FREQUENT), 0.01)


def relevance(question: str, context: Sequence[Sentence]) -> Array:
    """Return the probability that each sentence holds the answer, (n,), summing to 1.

    >>> from planner.text.sentences import sentences
    >>> text = "Halvik is a port. It was founded by merchants in 1412. The railway came in 1871, by way of Orm."
    >>> relevance("When was the port founded?", sentences(text)).argmax()
    np.int64(1)
    """
    score = features(question, context) @ WEIGHTS
    sure = np.exp(score - score.max())
    size = np.array([1 + sum(w not in FUNCTION_WORDS for w in words(s.text)) for s in context], float)
    return np.asarray((1 - _SPREAD) * sure / sure.sum() + _SPREAD * size / size.sum())


def features(question: str, context: Sequence[Sentence]) -> Array:
    """Return FEATURES of every sentence, (n, len(FEATURES))."""
    said = [words(s.text) for s in context]
    asked = list(dict.fromkeys(w for w in words(question) if w not in FUNCTION_WORDS)) or words(question) or [""]
    forms, synonyms = _matches(asked, said)
    weight = _weights(asked, forms)
    before, after, head = _neighbours(context)

    def gain(matches: Array) -> Array:
        return np.asarray(weight @ np.maximum(matches - forms, 0.0))

    back = gain(_column(forms, before))
    points = np.array([bool(s) and s[0] in _PRONOUNS for s in said], float)
    kind, own = answer_kind(question), set(words(question))
    heading = np.array([s.heading for s in context], float)
    columns = [
        weight @ forms,
        gain(synonyms),
        back,
        gain(_column(forms, after)),
        back * points,
        gain(_column(forms, np.where(np.array([h >= 0 and context[h].heading for h in head]), head, -1))),
        _pairs(words(question), said),
        np.array([has_kind(kind, s.text, own) for s in context], float),
        np.zeros(len(context)),
        (weight[:, None] * forms).max(axis=0) / weight.max(),
        np.array([h < 0 or (context[h].heading and i == h + 1) for i, h in enumerate(head)], float),
        heading,
    ]
    found = np.column_stack(columns)
    found[:, FEATURES.index("names")] = _names(found @ WEIGHTS, context, said, head, own)
    return found


def _matches(asked: Sequence[str], said: Sequence[Sequence[str]]) -> tuple[Array, Array]:
    """Return the nearest form and the nearest synonym in every sentence of every word asked, (words, n) each."""
    known = sorted({w for s in said for w in s if w not in FUNCTION_WORDS})
    out = np.zeros((2, len(asked), len(said)))
    for i, word in enumerate(asked):
        for k, near in enumerate((form, synonym)):
            found = {w: v for w in known if word and (v := near(word, w)) > 0}
            if found:
                out[k, i] = [max((found[w] for w in s if w in found), default=0.0) for s in said]
    return out[0], out[1]


def _weights(asked: Sequence[str], forms: Array) -> Array:
    """Weigh the words asked by their rarity in the language and among the sentences; they sum to 1."""
    n, within = forms.shape[1], (forms > 0.6).sum(axis=1)
    here = np.where(within > 0, np.log((n + 1) / (within + 0.5)) / math.log(n + 1), 0.7)
    weight = _LANGUAGE * np.array([word_weight(w) for w in asked]) + (1 - _LANGUAGE) * here
    return np.asarray(weight / weight.sum())


def _neighbours(context: Sequence[Sentence]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the sentence before, after and that opens the paragraph of each, −1 where there is none."""
    paragraph = np.array([s.paragraph for s in context], np.int64)
    at = np.arange(len(context))
    same = np.append(paragraph[1:] == paragraph[:-1], False)
    first = np.searchsorted(paragraph, paragraph)
    return np.where(np.append(False, same[:-1]), at - 1, -1), np.where(same, at + 1, -1), np.where(first < at, first, -1)


def _column(matches: Array, place: NDArray[np.int64]) -> Array:
    """Return the columns of ``matches`` at ``place``, zeros where it is −1."""
    return np.where(place >= 0, matches[:, np.maximum(place, 0)], 0.0)


def _pairs(asked: Sequence[str], said: Sequence[Sequence[str]]) -> Array:
    pairs = {p for p in pairwise(asked) if not {*p} <= FUNCTION_WORDS}
    return np.array([min(sum(p in pairs for p in pairwise(s)), 4) / 4 for s in said])


def _names(score: Array, context: Sequence[Sentence], said: Sequence[Sequence[str]], head: NDArray[Any], asked: set[str]) -> Array:
    """Say how much each sentence, or its heading, speaks of names that the best sentences elsewhere bring up and the question does not."""
    best = np.argsort(-score, kind="stable")[:_BEST].tolist()
    often = Counter(w for s in said for w in {*s})
    brought: dict[int, dict[str, float]] = {}
    for i in best:
        capital = {core(w) for w in context[i].text.split() if w[:1].isupper() or w[1:2].isupper()} - FUNCTION_WORDS - asked
        sure = math.exp(score[i] - score.max())
        brought[i] = {w: sure * word_weight(w) / math.sqrt(often[w] or 1) for w in capital if w}
    out = np.zeros(len(context))
    for i, s in enumerate(said):
        near = {*s, *(said[head[i]] if head[i] >= 0 else ())}
        others = [b for j, b in brought.items() if context[j].paragraph != context[i].paragraph]
        worth = sorted(max((b.get(w, 0.0) for b in others), default=0.0) for w in near)
        out[i] = sum(worth[-_NAMES:]) / _NAMES
    return out
