"""Ranking: a context cut to a token budget so that the answer to a question stays in it.

In: a context, a question, a budget. Out: the same context in its order, with less of what the question does not need. Every
clause may stay as it is, lose its articles, lose its function words, leave only its names and numbers, or go; which, is a knapsack of
the probability that the answer survives against exact tokens. Nothing is rewritten: all words are the context's own. Knows nothing of
messages or models, and does not know whether a model answers as well from what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from planner.errors import InputError
from planner.text.answers import answer_kind, has_kind, named, terse, without_articles
from planner.text.relevance import relevance
from planner.text.sentences import FUNCTION_WORDS, Sentence, clauses, sentences, words
from planner.text.tokens import count_tokens

__all__ = ["rank_to_budget"]

#: Chance that an answer within a clause survives its reductions: measured on benchmarks/data/reading.json, rounded.
_WITHOUT_ARTICLES, _TERSE = 0.975, 0.8
#: The same where only names and numbers are left, by the kind of answer.
_NAMED = {"when": 0.85, "amount": 0.85, "who": 0.8, "where": 0.7, "what": 0.4, "why": 0.1}
#: How many new words a thing of the kind asked for counts as, when a sentence's probability is shared among its clauses.
_KIND_WORDS = 3.0


@dataclass(frozen=True, slots=True)
class _Form:
    """One way a clause may stay: its text, the probability of the answer that it keeps, its tokens with a space before."""

    text: str
    value: float
    tokens: int


def rank_to_budget(context: str, question: str, budget_tokens: int, encoding: str = "o200k_base") -> str:
    """Return ``context`` with at most ``budget_tokens`` tokens, keeping what probably answers ``question``.

    A context within the budget is returned as it is. InputError for a negative budget.

    >>> text = "The town lies on a fjord in the west. It was founded by merchants in 1412. Herring was for long the main trade."
    >>> rank_to_budget(text, "When was the town founded?", 12)
    'It was founded by merchants in 1412.'
    """
    if budget_tokens < 0:
        raise InputError(f"budget_tokens {budget_tokens}", "0 or more")
    if _tokens(context, encoding) <= budget_tokens:
        return context
    pieces = sentences(context)
    if not pieces:
        return ""
    place, forms = _forms(question, pieces, encoding)
    aim = budget_tokens
    while aim > 0:
        found = _join(pieces, place, [o[k].text if k >= 0 else "" for o, k in zip(forms, _knapsack(forms, aim), strict=True)])
        over = _tokens(found, encoding) - budget_tokens
        if over <= 0:
            return found
        aim -= over
    return ""


def _tokens(text: str, encoding: str) -> int:
    return int(count_tokens([text], encoding)[0])


def _forms(question: str, pieces: Sequence[Sentence], encoding: str) -> tuple[list[int], list[list[_Form]]]:
    """Return every clause's sentence and its forms, cheapest first."""
    asked, kind = {*words(question)}, answer_kind(question)
    place: list[int] = []
    drafts: list[dict[str, float]] = []
    for i, (piece, p) in enumerate(zip(pieces, relevance(question, pieces).tolist(), strict=True)):
        parts = clauses(piece.text) if piece.prose and not piece.heading else [piece.text]
        share = np.array([_new_words(part, kind, asked) for part in parts])
        for part, chance in zip(parts, (p * share / share.sum()).tolist(), strict=True):
            place.append(i)
            drafts.append({t: chance * v for t, v in reversed(_reductions(part, kind, asked, piece.prose)) if t})
    counts = iter(count_tokens([f" {t}" for draft in drafts for t in draft], encoding).tolist())
    return place, [[_Form(t, v, next(counts)) for t, v in draft.items()] for draft in drafts]


def _new_words(clause: str, kind: str, asked: set[str]) -> float:
    new = sum(w not in asked and w not in FUNCTION_WORDS for w in words(clause))
    return 0.5 + new + (_KIND_WORDS if kind not in ("what", "why") and has_kind(kind, clause, asked) else 0.0)


def _reductions(clause: str, kind: str, asked: set[str], prose: bool) -> list[tuple[str, float]]:
    """Return the forms a clause may stay in with what each keeps; names and numbers alone only where the kind asked for is among them."""
    if not prose:
        return [(clause, 1.0)]
    forms = [(clause, 1.0), (without_articles(clause), _WITHOUT_ARTICLES), (terse(clause), _TERSE)]
    among = has_kind("who" if kind == "where" else kind, clause, asked)
    return [*forms, (named(kind, clause, asked), _NAMED[kind])] if among else forms


def _knapsack(forms: Sequence[Sequence[_Form]], budget: int) -> list[int]:
    """Choose one form of every clause, −1 for none: first the steps that gain most per token, then whatever still fits.

    Greedy on the upper hull of each clause's forms (Sinha and Zoltners 1979): short of the optimum by less than one step's value.
    """
    steps = sorted(step for i, options in enumerate(forms) for step in _steps(i, options))
    chosen, left = [-1] * len(forms), budget
    for _, i, tokens, before, after in steps:
        if tokens <= left and chosen[i] == before:
            chosen[i], left = after, left - tokens
    for i in sorted(range(len(forms)), key=lambda i: -max((f.value for f in forms[i]), default=0.0)):
        had = forms[i][chosen[i]] if chosen[i] >= 0 else _Form("", 0.0, 0)
        better = [(f.value, k) for k, f in enumerate(forms[i]) if f.value > had.value and f.tokens - had.tokens <= left]
        if better:
            chosen[i] = max(better)[1]
            left -= forms[i][chosen[i]].tokens - had.tokens
    return chosen


def _steps(i: int, options: Sequence[_Form]) -> list[tuple[float, int, int, int, int]]:
    """Return the steps up the hull of one clause's forms: (−gain per token, clause, tokens, from form, to form)."""
    hull = [(0, 0.0, -1)]
    for tokens, value, k in sorted((f.tokens, f.value, k) for k, f in enumerate(options)):
        if value > hull[-1][1]:
            while len(hull) > 1 and _slope(hull[-2], (tokens, value)) >= _slope(hull[-2], hull[-1]):
                hull.pop()
            hull.append((tokens, value, k))
    return [(-_slope(a, b), i, b[0] - a[0], a[2], b[2]) for a, b in pairwise(hull)]


def _slope(a: tuple[Any, ...], b: tuple[Any, ...]) -> float:
    return float((b[1] - a[1]) / max(b[0] - a[0], 1e-9))


def _join(pieces: Sequence[Sentence], place: Sequence[int], texts: Sequence[str]) -> str:
    """Put what is left together as it stood: clauses and sentences of a line by a space, lines, with their marks, by their breaks."""
    out, last = "", None
    for i, text in zip(place, texts, strict=True):
        piece = pieces[i]
        if text:
            fresh = last is None or piece.line > last.line
            if last is not None:
                out += "\n\n" if piece.paragraph > last.paragraph else "\n" if fresh else " "
            out, last = f"{out}{piece.mark} {text}" if fresh and piece.mark else out + text, piece
    return out
