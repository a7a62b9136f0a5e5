"""Disagreement: how far two answers to one question are apart, from 0 (the same) to 1 (nothing in common).

In: pairs of texts. Out: a number each, by the first rule that fits: equal but for case and white space; both JSON, by their leaves;
both a number or a few words, equal or not; else prose, by its vectors, its numbers and, where short, its negations. No model judges
here: two right answers in other words are apart as well, which is why whoever uses this subtracts what repeats of the very same
question show. Knows nothing of questions, caches or grades.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.text.checks import final_number, json_problem, normalised, numbers, unfenced
from planner.text.embeddings import Embedding, alike, embed, embedding, squares
from planner.text.guards import guard

__all__ = ["disagreement"]

#: [words] up to which an answer is a label, and up to which a negation turns the whole answer round.
_LABEL, _SHORT = 5, 30


def disagreement(left: Sequence[str], right: Sequence[str], method: Embedding | None = None) -> NDArray[np.float64]:
    """Return how far each pair of answers is apart, (n,) in [0, 1]; symmetric.

    Parameters
    ----------
    left, right: (n,) answers. method: measures prose; ``ngrams`` without it.

    >>> pairs = [("Yes.", "yes."), ("refund", "billing"), ("42", "The answer is 42.0"), ('{"a": 1, "b": 2}', '{"b": 3, "a": 1.0}')]
    >>> disagreement(*zip(*pairs)).round(2).tolist()
    [0.0, 1.0, 0.0, 0.5]
    >>> float(disagreement(["You can return it within 30 days."], ["You can't return it within 30 days."])[0])
    1.0
    """
    found = np.array([_by_rule(a, b) for a, b in zip(left, right, strict=True)], float)
    prose = np.flatnonzero(np.isnan(found)).tolist()
    if prose:
        method = method or embedding("ngrams")
        a, b = (embed([texts[i] for i in prose], method) for texts in (left, right))
        cosine = alike(np.einsum("ij,ij->i", a, b), squares(a), squares(b))
        figures = [_figures(left[i], right[i]) for i in prose]
        found[prose] = np.maximum(np.clip(1 - cosine, 0, 1), figures)
    return found


def _by_rule(a: str, b: str) -> float:
    """Return the disagreement of a pair that a rule decides, NaN for prose."""
    a, b = unfenced(a), unfenced(b)
    plain_a, plain_b = normalised(a), normalised(b)
    if plain_a == plain_b:
        return 0.0
    if (apart := _json(a, b)) is not None:
        return apart
    words_a, words_b = len(plain_a.split()), len(plain_b.split())
    if min(words_a, words_b) <= _LABEL and (x := final_number(a)) and (y := final_number(b)):
        return float(x.value != y.value)
    if max(words_a, words_b) <= _LABEL or not (plain_a and plain_b):
        return 1.0
    if max(words_a, words_b) <= _SHORT and guard(a).turns != guard(b).turns:
        return 1.0
    return np.nan


def _json(a: str, b: str) -> float | None:
    """Return the share of leaves that differ, None unless both are objects or lists."""
    if a.lstrip()[:1] not in ("{", "[") or b.lstrip()[:1] not in ("{", "[") or json_problem(a) or json_problem(b):
        return None
    x, y = (dict(_leaves(json.loads(text))) for text in (a, b))
    paths = x.keys() | y.keys()
    same = sum(1 for p in paths if p in x and p in y and x[p] == y[p])
    return 1 - same / len(paths)


def _leaves(value: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield (path, leaf); an empty list or object is a leaf too."""
    rest: list[tuple[tuple[Any, ...], Any]] = [((), value)]
    while rest:
        path, found = rest.pop()
        inside = list(found.items() if isinstance(found, dict) else enumerate(found)) if isinstance(found, dict | list) else []
        if not inside:
            yield path, _leaf(found)
        rest += [((*path, key), child) for key, child in inside]


def _leaf(value: Any) -> Any:
    """Return what equal leaves share: numbers are equal by value, but true is no 1."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return normalised(value) if isinstance(value, str) else repr(value)


def _figures(a: str, b: str) -> float:
    """Return 1 − the share of numbers that both texts have (Jaccard); 0 where neither has any."""
    x, y = ({round(n.value, 9) for n in numbers(text)} for text in (a, b))
    return 1 - len(x & y) / len(x | y) if x | y else 0.0
