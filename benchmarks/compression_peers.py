"""What the compressor is measured beside: truncation, random sentences, and published extractive methods.

In: a context, a question, a token budget. Out: a part of the context within the budget. TextRank (Mihalcea and Tarau 2004, §4),
question-biased LexRank (Otterbacher, Erkan and Radev 2005; Erkan and Radev 2004) and BM25 (Robertson and Zaragoza 2009, k₁ = 1.2,
b = 0.75) rank the same sentences as ours and keep the best that fit, in their order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from planner.stats import draws
from planner.text.sentences import FUNCTION_WORDS, Sentence, sentences, words
from planner.text.tokens import count_tokens, token_ids, vocabulary

__all__ = ["PEERS", "Compressor"]

Compressor = Callable[[str, str, int], str]
Scores = NDArray[np.float64]


def head(context: str, question: str, budget: int) -> str:
    """Keep the beginning."""
    return _cut(context, budget, lambda ids, n: ids[:n])


def tail(context: str, question: str, budget: int) -> str:
    """Keep the end."""
    return _cut(context, budget, lambda ids, n: ids[len(ids) - n :])


def middle_out(context: str, question: str, budget: int) -> str:
    """Keep the beginning and the end, half of the budget each."""
    first = head(context, question, budget // 2)
    return first + tail(context, question, budget - _tokens(first) - 1)


def _cut(context: str, budget: int, part: Callable[[NDArray[np.uint32], int], NDArray[np.uint32]]) -> str:
    ids, table = token_ids([context])[0], _bytes()
    for n in range(max(budget, 0), -1, -1):
        text = b"".join(table[i] for i in part(ids, n)).decode("utf-8", "ignore")
        if _tokens(text) <= budget:
            return text
    return ""


@cache
def _bytes() -> list[bytes]:
    return vocabulary()


def random_sentences(context: str, question: str, budget: int) -> str:
    """Keep sentences in an order drawn from the question."""
    pieces = sentences(context)
    return _fill(pieces, draws.uniform(0, draws.key(f"{question}/{i}" for i in range(len(pieces))), "compression"), budget)


def textrank(context: str, question: str, budget: int) -> str:
    """Rank by PageRank over shared words divided by the logarithms of both lengths; the question plays no part."""
    pieces = sentences(context)
    said = [Counter(w for w in words(s.text) if w not in FUNCTION_WORDS) for s in pieces]
    near = np.zeros((len(said), len(said)))
    for i, a in enumerate(said):
        for j in range(i):
            both = math.log(max(a.total(), 1)) + math.log(max(said[j].total(), 1))
            near[i, j] = near[j, i] = len(a.keys() & said[j].keys()) / both if both > 0 else 0.0
    return _fill(pieces, _walk(near, np.ones(len(said)), 0.15), budget)


def biased_lexrank(context: str, question: str, budget: int) -> str:
    """Rank by a walk over TF-IDF cosines that restarts at sentences that share words with the question."""
    pieces = sentences(context)
    said = [Counter(words(s.text)) for s in pieces]
    often = Counter(w for s in said for w in s)
    idf = {w: math.log((len(said) + 1) / (0.5 + n)) for w, n in often.items()}
    place = {w: i for i, w in enumerate(often)}
    vectors = np.zeros((len(said), len(place)))
    for i, s in enumerate(said):
        for w, n in s.items():
            vectors[i, place[w]] = n * max(idf[w], 0.0)
    length = np.linalg.norm(vectors, axis=1)
    near = vectors @ vectors.T / np.maximum(np.outer(length, length), 1e-12)
    asked = Counter(words(question))
    wanted = np.array([sum(math.log(s[w] + 1) * math.log(n + 1) * max(idf[w], 0.0) for w, n in asked.items() if w in s) for s in said])
    return _fill(pieces, _walk(np.where(near > 0.1, near, 0.0), wanted + 1e-9, 0.85), budget)


def bm25(context: str, question: str, budget: int) -> str:
    """Rank by BM25 of the question's words."""
    pieces = sentences(context)
    said = [Counter(words(s.text)) for s in pieces]
    often, mean = Counter(w for s in said for w in s), max(sum(s.total() for s in said) / max(len(said), 1), 1e-9)
    score = np.zeros(len(said))
    for w in words(question):
        idf = math.log(1 + (len(said) - often[w] + 0.5) / (often[w] + 0.5))
        score += [idf * s[w] * 2.2 / (s[w] + 1.2 * (0.25 + 0.75 * s.total() / mean)) for s in said]
    return _fill(pieces, score, budget)


def _walk(near: Scores, wanted: Scores, restart: float) -> Scores:
    """Return the stationary distribution of a walk along ``near`` that goes back to ``wanted`` with probability ``restart``."""
    home = wanted / wanted.sum() if len(wanted) else wanted
    rows = near.sum(axis=1, keepdims=True)
    move = np.where(rows > 0, near / np.maximum(rows, 1e-12), home)
    rank = home
    for _ in range(100):
        rank = restart * home + (1 - restart) * rank @ move
    return np.asarray(rank)


def _fill(pieces: Sequence[Sentence], score: Scores, budget: int) -> str:
    """Return the best sentences that fit, in their order."""
    kept: list[int] = []
    text = ""
    for i in np.argsort(-score, kind="stable").tolist():
        longer = _joined(pieces, [*kept, i])
        if _tokens(longer) <= budget:
            kept, text = [*kept, i], longer
    return text


def _joined(pieces: Sequence[Sentence], kept: Sequence[int]) -> str:
    out = ""
    for i, before in zip(sorted(kept), [None, *sorted(kept)], strict=False):
        out += ("" if before is None else " " if pieces[before].line == pieces[i].line else "\n") + pieces[i].text
    return out


def _tokens(text: str) -> int:
    return int(count_tokens([text])[0])


PEERS: dict[str, Compressor] = {
    "head": head,
    "tail": tail,
    "middle_out": middle_out,
    "random_sentences": random_sentences,
    "textrank": textrank,
    "biased_lexrank": biased_lexrank,
    "bm25": bm25,
}
