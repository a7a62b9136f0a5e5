"""The table a decision looks its scores up in: the same as the design matrix times the weights, whatever the features."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from planner.router import STRUCTURE, FeatureSpec, LinearScorer, Requests, Weighting, features, weigh
from planner.text.tokens import count_tokens, token_ids

SPECS = (
    FeatureSpec(token_bits=10, template_bits=6, app_bits=5),
    FeatureSpec(token_bits=8, template_bits=0, app_bits=5),
    FeatureSpec(token_bits=0, template_bits=6, app_bits=0),
    FeatureSpec(token_bits=0, template_bits=0, app_bits=0),
)
TALK = st.tuples(st.text(max_size=40), st.sampled_from(["", "be brief", "be brief and kind"]), st.sampled_from(["a", "b"]))


def made(spec: FeatureSpec, k: int = 3) -> LinearScorer:
    """Return a scorer with random weights, a third of the buckets without any."""
    rng = np.random.default_rng(0)
    idf = (rng.random(spec.dim) * (rng.random(spec.dim) > 1 / 3)).astype(np.float32)
    mean, scale = (rng.random(len(STRUCTURE)).astype(np.float32) for _ in range(2))
    shapes = ((spec.dim, k), (len(STRUCTURE), k), (k,))
    return LinearScorer(spec, Weighting(idf, mean, scale, (0.9, 0.5, 0.3)), *(rng.normal(size=s).astype(np.float32) for s in shapes))


SCORERS = [made(spec) for spec in SPECS]


def read(talks) -> Requests:
    """Return requests of (turn, template, app)."""
    messages = [[{"role": "system", "content": s}, {"role": "user", "content": u}] for u, s, _ in talks]
    return Requests.of(messages, app=[a for _, _, a in talks])


@pytest.mark.parametrize("scorer", SCORERS)
@given(st.lists(TALK, max_size=5))
def test_the_table_is_the_product(scorer, talks):
    """Looking up and summing gives the weighted features times the weights, as training multiplies them."""
    found = features(read(talks), scorer.spec)
    values, shape = weigh(found, scorer.weighting)
    hashed = sparse.csr_matrix((values, found.indices, found.indptr), shape=(len(talks), scorer.spec.dim))
    expected = scorer.intercept + hashed @ scorer.weights + shape @ scorer.structure_weights
    assert scorer.gains(read(talks)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("scorer", SCORERS)
@given(st.lists(TALK, min_size=1, max_size=5))
def test_neighbours_do_not_matter(scorer, talks):
    """A request's gains are the same bits alone and among others."""
    alone = np.concatenate([scorer.gains(read([t])) for t in talks])
    assert np.array_equal(scorer.gains(read(talks)), alone)


def test_many_texts_are_cut_into_runs():
    """More text than is hashed at once gives the same bits as each text alone, long ones included."""
    talks = [(f"word{i} " * (i % 7) * 4_000, "", "a") for i in range(60)]
    batch = SCORERS[0].gains(read(talks))
    for row in range(0, 60, 7):
        assert np.array_equal(batch[row], SCORERS[0].gains(read([talks[row]]))[0])


def test_a_scorer_that_has_decided_can_be_copied():
    """What is remembered of templates and apps does not keep a scorer from being pickled or copied, and copies score alike."""
    requests = read([("what is this", "be brief", "a")])
    gains = SCORERS[0].gains(requests)
    for twin in (pickle.loads(pickle.dumps(SCORERS[0])), copy.deepcopy(SCORERS[0])):
        assert np.array_equal(twin.gains(requests), gains)


@given(st.lists(st.text(max_size=60), max_size=4))
def test_tokens_looked_at_are_those_counted(texts):
    """The ids of a text are as many as are counted, alone or among others, and the same ids."""
    ids, bounds = token_ids(texts)
    assert np.diff(bounds).tolist() == count_tokens(texts).tolist()
    for i, text in enumerate(texts):
        assert token_ids([text])[0].tolist() == ids[bounds[i] : bounds[i + 1]].tolist()
