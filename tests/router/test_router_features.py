"""Features: deterministic, total, the same alone as in a batch, and what they say they are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.router import STRUCTURE, FeatureSpec, Requests, features
from planner.router.features import TURN, Ends
from planner.router.hashing import grams
from planner.router.structure import TEXT_COLUMNS, amounts
from planner.text.tokens import token_ids, vocabulary

SPEC = FeatureSpec(token_bits=10, template_bits=8, app_bits=6)
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


@given(st.lists(st.lists(st.integers(0, 199_999), max_size=6), min_size=1, max_size=5), st.integers(1, 20))
def test_grams_are_tokens_and_pairs_of_their_own_text(texts, bits):
    """Every token and every pair of neighbours in one text has its bucket, by a slow sum in whole numbers; none spans two texts."""
    ids = np.array([i for t in texts for i in t], np.uint32)
    columns, of = grams(ids, np.cumsum([0, *map(len, texts)]), bits)
    found = [(0, c) for c in columns.tolist()] if of is None else list(zip(of.tolist(), columns.tolist(), strict=True))
    expected = [(i, _bucket(x, 0, bits)) for i, t in enumerate(texts) for x in t]
    expected += [(i, _bucket(x, y, bits)) for i, t in enumerate(texts) for x, y in itertools.pairwise(t)]
    assert sorted(found) == sorted(expected)


def _bucket(first, second, bits):
    return (first * 0x9E3779B97F4A7C15 + second * 0xD6E8FEB86659FD93) % 2**64 >> 64 - bits


@given(st.lists(st.integers(0, 9), max_size=5), st.integers(0, 4), st.integers(1, 4))
def test_ends_are_head_and_tail(sizes, head, tail):
    """Of a longer text head and tail are read, of any other everything."""
    texts = [list(range(100 * i, 100 * i + n)) for i, n in enumerate(sizes)]
    ids, bounds = Ends(head, tail).of(np.array([i for t in texts for i in t], np.uint32), np.cumsum([0, *sizes]))
    for i, text in enumerate(texts):
        expected = text if len(text) <= head + tail else text[:head] + text[-tail:]
        assert ids[bounds[i] : bounds[i + 1]].tolist() == expected


def test_buckets_are_spread():
    """Tokens share a bucket about as often as balls thrown at random, and pairs do."""
    ids = np.arange(20_000, dtype=np.uint32)
    columns, _ = grams(ids, np.array([0, len(ids)]), 18)
    for part in (columns[: len(ids)], columns[len(ids) :]):
        assert len(np.unique(part)) > 0.95 * len(part)


def test_a_template_without_blanks_is_read_in_tokens():
    """A template in Chinese shares features with another that shares its words."""
    templates = ["你是客服助手。请简短回答用户的问题。", "请简短回答用户的问题，不要道歉。"]
    chats = [[{"role": "system", "content": t}, {"role": "user", "content": "你好"}] for t in templates]
    found = features(Requests.of(chats), FeatureSpec(token_bits=0, app_bits=0))
    first, second = (set(found.indices[found.indptr[i] : found.indptr[i + 1]].tolist()) for i in range(2))
    assert len(first & second) > 0.3 * len(first | second)


def test_a_megabyte_is_read_at_its_ends():
    """A text of a million characters is decided on its head and tail: its middle does not count, its length does."""
    head, tail = "start " * TURN.head, " end" * TURN.tail
    first, second = (Requests.of([head + middle * 1_000_000 + tail]) for middle in "ab")
    assert same(features(first, SPEC), features(second, SPEC))
    assert len(features(first, SPEC).indices) < 20_000
    assert features(first, SPEC).structure[0, STRUCTURE.index("ln_characters")] > np.log(1_000_000)


def test_template_and_turn_are_kept_apart():
    """The same words in the template and in the turn are different features, and the template's are shared by all requests."""
    chat = [{"role": "system", "content": "alpha beta"}, {"role": "user", "content": "alpha beta"}]
    found = features(Requests.of([chat, chat, "alpha beta"], app=["a", "a", "a"]), SPEC)
    start, stop = SPEC.offsets[1:3]
    rows = [set(found.indices[found.indptr[i] : found.indptr[i + 1]].tolist()) for i in range(3)]
    assert rows[0] == rows[1]
    assert {i for i in rows[0] if not start <= i < stop} == rows[2]


@pytest.mark.parametrize("settings", [{"token_bits": 60}, {"app_bits": -1}])
def test_blocks_out_of_bounds_are_refused(settings):
    """Hash blocks beyond what a key of 32 bits holds, and negative ones, are refused."""
    with pytest.raises(InputError, match=r"at most 2\^20 buckets"):
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


@given(st.lists(ANY_TEXT, max_size=4))
def test_what_a_text_holds_is_what_its_bytes_hold(texts):
    """Counts looked up token by token are those of the whole text's bytes, lone surrogates as question marks included."""
    ids, bounds = token_ids(texts)
    found = amounts(ids, bounds)
    for row, text in zip(found, texts, strict=True):
        data = text.encode("utf-8", "replace")
        assert row[0] == len(token_ids([text])[0])
        assert row[TEXT_COLUMNS.index("ln_lines")] == data.count(b"\n")
        assert row[TEXT_COLUMNS.index("question_marks")] == data.count(b"?")
        assert row[TEXT_COLUMNS.index("digits")] * max(len(data), 1) == pytest.approx(sum(chr(b) in "0123456789" for b in data))
        assert row[TEXT_COLUMNS.index("non_ascii")] * max(len(data), 1) == pytest.approx(sum(b >= 128 for b in data))


TOKENS = vocabulary()
SIZES = np.array([*map(len, TOKENS)])
#: Bytes of a token by the column that counts them or has their share, written out again.
BYTES = {
    "ln_lines": b"\n",
    "digits": b"0123456789",
    "capitals": bytes(range(65, 91)),
    "punctuation": b".,;:!'\"-()",
    "code_marks": b"{}[]`_;=<>#$\\|&@~",
    "maths_marks": b"+*/^=<>%",
    "non_ascii": bytes(range(128, 256)),
    "question_marks": b"?",
}


def test_every_token_has_its_own_counts():
    """Each of a sample of the vocabulary, alone, holds exactly what its bytes hold, whatever token of its kind was counted for it."""
    ids = np.unique(np.random.default_rng(0).integers(0, len(TOKENS), 5_000)).astype(np.uint32)
    found = amounts(ids, np.arange(len(ids) + 1))
    assert (found[:, 0] == 1).all()
    for column, members in BYTES.items():
        whole = 1 if column in ("ln_lines", "question_marks") else SIZES[ids]
        wanted = [sum(b in members for b in TOKENS[i]) for i in ids]
        np.testing.assert_allclose(found[:, TEXT_COLUMNS.index(column)] * whole, wanted, atol=1e-9)


@given(st.lists(st.lists(st.integers(0, 199_999), max_size=40), max_size=5))
def test_what_a_text_holds_is_the_sum_of_its_tokens(texts):
    """Counts of a text are the sums of its tokens' own, and its shares their mean by bytes: no count runs into its neighbour."""
    ids = np.array([i for t in texts for i in t], np.uint32)
    found = amounts(ids, np.cumsum([0, *map(len, texts)]))
    each = amounts(ids, np.arange(len(ids) + 1))
    size = SIZES[ids].astype(float)
    shares = slice(TEXT_COLUMNS.index("word_bytes"), TEXT_COLUMNS.index("question_marks"))
    each[:, shares] *= size[:, None]
    start = 0
    for row, text in zip(found, texts, strict=True):
        own = slice(start, start + len(text))
        expected = each[own].sum(0)
        expected[shares] /= max(size[own].sum(), 1)
        np.testing.assert_allclose(row, expected, atol=1e-9)
        start += len(text)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("why", {"question_words", "reasoning_words"}),
        (" Why", {"question_words", "reasoning_words"}),
        (" function", {"code_words"}),
        (" Translate", {"simple_words"}),
        (" because", {"reasoning_words"}),
        (" WHY", set()),
        (" whyever", set()),
    ],
)
def test_a_listed_word_counts_in_all_its_lists(text, columns):
    """A word counts once in every list that has it, small or capitalised, after a blank or not, and in no other form."""
    row = amounts(*token_ids([text]))[0]
    words = {c: row[TEXT_COLUMNS.index(c)] for c in TEXT_COLUMNS if c.endswith("_words")}
    assert words == {c: float(c in columns) for c in words}


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
