"""Vectors of texts: unit length, exact sums, and no dependence on what else is embedded."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError, MissingExtraError
from planner.text.embeddings import GRID, METHODS, Embedding, cosines, embed, embedding

NGRAMS = embedding("ngrams")


@given(st.lists(st.text(max_size=40), min_size=1, max_size=8))
def test_rows_have_length_one_or_nothing(texts: list[str]) -> None:
    """Whatever the text, its row has length 1 but for rounding, or is zero where there is no word; every component is on the grid."""
    rows = embed(texts, NGRAMS)
    norm = np.linalg.norm(rows.astype(float), axis=1)
    worded = np.array([any(c.isalnum() or c == "_" for c in text.casefold()) for text in texts])
    assert np.all(np.abs(norm[norm > 0] - 1) < 6e-3)
    assert not np.any((norm > 0) & ~worded)
    assert np.array_equal(rows * GRID, np.rint(rows * GRID))


@given(st.lists(st.text(max_size=20), min_size=2, max_size=6))
def test_a_row_depends_on_its_own_text_alone(texts: list[str]) -> None:
    """A text embedded with others, in another order or twice, has the same bits as alone."""
    together = embed([*texts[::-1], *texts], NGRAMS)[len(texts) :]
    assert np.array_equal(together, np.concatenate([embed([text], NGRAMS) for text in texts]))


def test_products_are_exact_in_float32() -> None:
    """Sums of products equal whole-number arithmetic, so order, blocks and threads cannot change a bit of them."""
    words = np.random.default_rng(0).choice([*"abcdefghij"], (200, 3, 6))
    rows = embed([" ".join("".join(w) for w in text) for text in words], NGRAMS)
    whole = np.rint(rows * GRID).astype(np.int64)
    assert np.array_equal((rows @ rows.T).astype(float) * GRID**2, whole @ whole.T)
    at = np.random.default_rng(1).permutation(rows.shape[1])
    assert np.array_equal(cosines(rows, rows), np.vstack([cosines(rows[i : i + 1, at], rows[:, at]) for i in range(len(rows))]))


def test_spelling_is_what_ngrams_know() -> None:
    """Case and punctuation change nothing, an inflection little, another subject nearly all; frequent words count little."""
    said = ["Cancel my subscription", "cancel my subscription!", "cancelling my subscriptions", "the weather in the mountains", "cancel it"]
    near = cosines(embed(said[:1], NGRAMS), embed(said[1:], NGRAMS))[0]
    assert near[0] == 1
    assert near[1] > 0.7
    assert abs(near[2]) < 0.1
    assert np.allclose(cosines(embed(["the invoice"], NGRAMS), embed(["invoice", "the"], NGRAMS)), [[1, 0.1]], atol=0.1)


def test_any_method_may_stand_in() -> None:
    """The gateway's own vectors are brought to unit length on the grid like ours, and equal texts are asked for once."""
    asked: list[str] = []

    def encode(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return np.array([[len(t), 1.0] for t in texts], np.float32)

    rows = embed(["aaa", "b", "aaa"], Embedding("length-1", encode))
    assert asked == ["aaa", "b"]
    assert np.allclose(rows[[0, 2]], [[3 / 10**0.5, 1 / 10**0.5]] * 2, atol=1 / GRID)


def test_unknown_and_missing_methods_say_what_to_do() -> None:
    """A misspelt method names its neighbour; WordLlama either knows synonyms offline, or says how it is installed."""
    with pytest.raises(InputError, match="Did you mean 'ngrams'"):
        embedding("ngram")
    assert METHODS == ("ngrams", "wordllama")
    if importlib.util.find_spec("wordllama") is None:
        with pytest.raises(MissingExtraError, match="pip install wordllama"):
            embedding("wordllama")
    else:
        method = embedding("wordllama")
        said = embed(["What is your refund policy?", "Can I get my money back?", "How long is the river?"], method)
        alike = cosines(said[:1], said[1:])[0]
        assert method.name.startswith("wordllama-")
        assert alike[0] > alike[1] + 0.2
