"""Embeddings: texts as vectors whose angle says how alike they are, without a network and without fitting anything.

In: texts. Out: float32 rows of length 1, but for rounding. Two methods: character n-grams, which are always there and know spelling
only, and WordLlama's static word vectors (extra ``semantic``), which know synonyms. Components lie on a grid of 1/2048, so that
every sum of products of two rows is exact in float32: similarities are the same bits whatever the threads, the blocks and the order.
A threshold on similarity means nothing without the method's name. Knows nothing of questions, caches or models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from planner.errors import InputError, MissingExtraError, did_you_mean
from planner.stats import draws
from planner.text.tokens import token_ids

__all__ = ["GRID", "METHODS", "Embedding", "alike", "cosines", "embed", "embedding", "squares"]

F32: TypeAlias = NDArray[np.float32]
#: Products of components are multiples of 2⁻²² and rows have length 1, so no partial sum needs more than float32's 24 bits.
GRID = 2048
METHODS = ("ngrams", "wordllama")
_WIDTH, _GRAMS = 512, (3, 4)
#: exp(5.5) ≈ 245 tokens are more frequent than a word that counts little; nothing counts less than the least weight.
_COMMON, _LEAST = 5.5, 0.25
_BATCH = 1024
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Embedding:
    """A method: ``name`` carries its version, ``encode`` maps texts to rows of any length, shape (n, d).

    The gateway's own embedding is one too: wrap it, and give it a name that changes when its model does.
    """

    name: str
    encode: Callable[[Sequence[str]], F32]


def embed(texts: Sequence[str], method: Embedding) -> F32:
    """Return one row of length 1 per text, (n, d); a text without words is a row of zeros. Equal texts are encoded once.

    >>> v = embed(["reset my password", "Reset my password!", "cancel the order", ""], embedding("ngrams"))
    >>> similarity = v @ v.T
    >>> bool(similarity[0, 1] > 0.99), bool(similarity[0, 2] < 0.3), float(similarity[3, 3])
    (True, True, 0.0)
    """
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return np.zeros((0, 1), np.float32)
    rows = np.concatenate([_on_grid(method.encode(distinct[i : i + _BATCH])) for i in range(0, len(distinct), _BATCH)])
    at = {text: i for i, text in enumerate(distinct)}
    return rows[[at[text] for text in texts]]


def cosines(left: F32, right: F32) -> F32:
    """Return the cosine of every row of ``left`` with every row of ``right``, (n, m); 0 where a row is all zeros.

    >>> v = embed(["a red car", "two blue cars"], embedding("ngrams"))
    >>> cosines(v, v).diagonal().tolist()
    [1.0, 1.0]
    """
    return alike(left @ right.T, squares(left)[:, None], squares(right))


def squares(rows: F32) -> NDArray[np.float64]:
    """Return the square of each row's length, (n,); exact."""
    found: NDArray[np.float64] = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    return found


def alike(products: F32, left: NDArray[np.float64], right: NDArray[np.float64]) -> F32:
    """Return the cosines of pairs from their products and the squares of their lengths: of equal rows it is exactly 1."""
    return np.minimum(products / np.sqrt(np.where(left * right > 0, left * right, 1.0)), 1.0).astype(np.float32)


def _on_grid(rows: F32) -> F32:
    norm = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(np.rint(rows / np.where(norm > 0, norm, 1.0) * GRID) / GRID, np.float32)


def embedding(name: str) -> Embedding:
    """Return the method called ``name``, one of METHODS; MissingExtraError when it needs a package that is not installed."""
    if name == "ngrams":
        return Embedding("ngrams-1", _ngrams)
    if name == "wordllama":
        return _wordllama()
    raise InputError(f"embedding {name!r}", f"one of {', '.join(METHODS)}", did_you_mean(name, METHODS))


@cache
def _wordllama() -> Embedding:
    try:
        import wordllama  # type: ignore[import-not-found]
    except ModuleNotFoundError as error:
        raise MissingExtraError("Embedding 'wordllama' is not installed", fix="run: pip install wordllama, or use 'ngrams'") from error
    # The wheel holds weights and tokenizer; it would look for the tokenizer elsewhere first, and then on a hub.
    model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    return Embedding(f"wordllama-{wordllama.__version__}-256", lambda texts: np.asarray(model.embed(list(texts)), np.float32))


def _ngrams(texts: Sequence[str]) -> F32:
    """Return sums of word vectors: a word is its 3- and 4-grams hashed with signs, its weight how rare it is, (n, 512).

    Signed hashing keeps inner products unbiased (Weinberger et al., "Feature hashing for large scale multitask learning", ICML
    2009). The weight grows with the logarithm of the rank of the word's rarest token in o200k, whose ids follow frequency (the
    Zipf weighting of Model2Vec, Tulkens & van Dongen 2024): what idf does, without a corpus to fit.
    """
    split = [_WORD.findall(text.casefold()) for text in texts]
    words = sorted({word for text in split for word in text})
    at = {word: i for i, word in enumerate(words)}
    bounds = np.cumsum([0, *map(len, split)])
    found = np.array([at[word] for text in split for word in text], np.int64)
    counts = csr_array((_weight(words)[found], found, bounds), shape=(len(texts), len(words)))
    dense: F32 = (counts @ _word_vectors(words)).toarray().astype(np.float32)
    return dense


def _weight(words: Sequence[str]) -> NDArray[np.float64]:
    """Return how much each word counts: little where its rarest token is among the most frequent."""
    ids, bounds = token_ids([f" {word}" for word in words])
    rarest = np.maximum.reduceat(ids.astype(float), bounds[:-1]) if len(words) else np.zeros(0)
    return np.maximum(np.log1p(rarest) - _COMMON, _LEAST)


def _word_vectors(words: Sequence[str]) -> csr_array:
    """Return each word's hashed n-grams as a sparse row of length 1, (words, 512); word ends are marked."""
    grams = [[w[i : i + n] for n in _GRAMS for i in range(max(len(w) - n + 1, 1))] for w in (f"<{word}>" for word in words)]
    bounds = np.cumsum([0, *map(len, grams)])
    codes = np.array([crc32(g.encode("utf-8", "replace")) for word in grams for g in word], np.uint64)
    hashed = draws.words(0, codes, "n-grams")
    signs = np.where(hashed >> np.uint64(63), 1.0, -1.0)
    rows = csr_array((signs, (hashed % np.uint64(_WIDTH)).astype(np.int64), bounds), shape=(len(words), _WIDTH))
    rows.sum_duplicates()
    norm = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    rows.data /= np.repeat(np.where(norm > 0, norm, 1.0), np.diff(rows.indptr))
    return rows
