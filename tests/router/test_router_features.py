"""Features: deterministic, total, the same alone as in a batch, and what they say they are."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.router import STRUCTURE, FeatureSpec, Requests, features
from planner.router.features import TURN
from planner.router.hashing import Text, byte_grams, hash_word, pairs, words

SPEC = FeatureSpec(word_bits=10, char_bits=10, system_bits=8, app_bits=6, char_n=(3, 5))
ANY_TEXT = st.text(st.characters(), max_size=60)  # lone surrogates included
CONTENT = st.one_of(
    ANY_TEXT,
    st.none(),
    st.integers(),
    st.floats(),
    st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": ANY_TEXT}), max_size=3),
)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": CONTENT}), max_size=5
)


def same(left, right):
    """Say whether two Features are bit by bit the same."""
    return all(np.array_equal(getattr(left, n), getattr(right, n)) for n in ("indptr", "indices", "values", "structure"))


def one(batch, row):
    """Return one row of a batch in the form of a batch of one."""
    start, stop = batch.indptr[row], batch.indptr[row + 1]
    return batch.indices[start:stop].tolist(), batch.values[start:stop].tolist(), batch.structure[row].tolist()


@given(st.lists(MESSAGES, max_size=4), st.sampled_from(["session", "request"]))
def test_any_text_has_features_and_batches_do_not_matter(batch, unit):
    """Whatever the messages, features exist, are finite, repeat exactly, and are those of each request on its own."""
    requests = Requests.of(batch, app=["a"] * len(batch), unit=unit)
    found = features(requests, SPEC)
    assert same(found, features(Requests.of(batch, app=["a"] * len(batch), unit=unit), SPEC))
    assert np.isfinite(found.values).all()
    assert np.isfinite(found.structure).all()
    assert found.structure.shape == (len(batch), len(STRUCTURE))
    assert ((found.indices >= 0) & (found.indices < SPEC.dim)).all()
    for row in range(len(batch)):
        alone = features(requests.take(np.array([row])), SPEC)
        assert one(found, row) == one(alone, 0)


@given(st.lists(ANY_TEXT, min_size=1, max_size=5))
def test_words_are_those_of_a_regular_expression(texts):
    """The words found over bytes are the runs of letters, digits and non-ASCII that a regular expression finds, in order."""
    found, doc, length = words(Text.of(texts))
    expected = [(i, w) for i, t in enumerate(texts) for w in _words(t)]
    assert (doc.tolist() if len(texts) > 1 else [0] * len(found)) == [i for i, _ in expected]
    assert length.tolist() == [len(w) for _, w in expected]
    by_hash = {}
    for h, (_, w) in zip(found.tolist(), expected, strict=True):
        assert by_hash.setdefault(h, w) == w


def _words(text):
    return re.findall(rb"[a-z0-9\x80-\xff]+", text.encode("utf-8", "replace").lower())


@given(st.lists(ANY_TEXT, min_size=1, max_size=4), st.integers(2, 6))
def test_byte_grams_stay_inside_their_text(texts, n):
    """Each text has as many windows of n bytes as its own bytes and the blanks at its edges allow; none spans two texts."""
    _, doc = byte_grams(Text.of([*texts, ""]), n)
    sizes = [len(t.encode("utf-8", "replace")) + 2 for t in texts]
    assert np.bincount(doc, minlength=len(texts) + 1).tolist() == [max(s - n + 1, 0) for s in (*sizes, 2)]


def test_equal_windows_hash_alike_wherever_they_stand():
    """A hash depends on the bytes alone: not on position, neighbours, or ASCII case."""
    left, right = Text.of(["xx Hello world"]), Text.of(["hello WORLD and more", "a"])
    assert words(left)[0][1:].tolist() == words(right)[0][:2].tolist()
    assert words(left)[0][1] == hash_word("hello")
    assert pairs(*words(left)[:2])[0][1] == pairs(*words(right)[:2])[0][0]
    assert set(byte_grams(Text.of(["abcd"]), 4)[0].tolist()) <= set(byte_grams(Text.of(["zzabcd y"]), 4)[0].tolist()) | set(
        byte_grams(Text.of(["abcd z"]), 4)[0].tolist() + byte_grams(Text.of(["z abcd"]), 4)[0].tolist()
    )


def test_a_megabyte_is_read_at_its_ends():
    """A text of a million characters is decided on its head and tail: its middle does not count, its length does."""
    head, tail = "start " * 3_000, " end" * 3_000
    first, second = (Requests.of([head + middle * 1_000_000 + tail]) for middle in "ab")
    assert same(features(first, SPEC), features(second, SPEC))
    assert len(features(first, SPEC).indices) < 20_000
    assert features(first, SPEC).structure[0, STRUCTURE.index("ln_characters")] > np.log(1_000_000)


def test_template_and_turn_are_kept_apart():
    """The same words in the template and in the turn are different features, and the template's are shared by all requests."""
    chat = [{"role": "system", "content": "alpha beta"}, {"role": "user", "content": "alpha beta"}]
    found = features(Requests.of([chat, chat, "alpha beta"], app=["a", "a", "a"]), SPEC)
    start = SPEC.offsets[TURN]
    rows = [set(found.indices[found.indptr[i] : found.indptr[i + 1]].tolist()) for i in range(3)]
    assert rows[0] == rows[1]
    assert {i for i in rows[0] if not start <= i < SPEC.offsets[TURN + 1]} == rows[2]


@pytest.mark.parametrize("settings", [{"word_bits": 60}, {"app_bits": -1}, {"char_n": (1,)}, {"char_n": (40,)}])
def test_blocks_out_of_bounds_are_refused(settings):
    """Hash blocks that no machine holds, and n-grams of one byte, are refused."""
    with pytest.raises(InputError, match=r"at most 2\^24 buckets"):
        FeatureSpec(**settings)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("def main(): return {}", "code_words"),
        ("why is that so?", "question_words"),
        ("why is that so?", "question_marks"),
        ("prove it", "reasoning_words"),
        ("12 34", "digits"),
        ("ABC", "capitals"),
        ("été", "non_ascii"),
        ("a = b + c", "maths_marks"),
        ("a\nb", "ln_lines"),
        ("translate this", "simple_words"),
        ("`x`;", "code_marks"),
        ("a, b.", "punctuation"),
    ],
)
def test_structure_sees(text, column):
    """Each structure column of the text is above zero on a text made for it, and zero on a plain one."""
    found = features(Requests.of([text, "plain words"]), SPEC).structure[:, STRUCTURE.index(column)]
    assert found[0] > 0 == found[1]


def test_structure_of_the_request():
    """Tools, formats, images and limits each have their column."""
    requests = Requests.of(
        ["x", "x"],
        has_tools=[True, False],
        response_format=["json_schema", "text"],
        modalities=["text,image", "text"],
        max_tokens=[50, None],
    )
    found = features(requests, SPEC).structure
    for column in ("tools", "json_schema", "not_only_text", "limited", "ln_max_tokens"):
        assert found[0, STRUCTURE.index(column)] > 0 == found[1, STRUCTURE.index(column)]
