"""Router: decides alone as in a batch, and never raises; ``test_runtime_*`` hold it to the whole sample, to threads and to fuzz."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.labels import COST, made_labels

from planner.errors import InputError
from planner.router import REASONS, AlwaysRule, Capability, Costs, LengthRule, Requests, Router, Scores, Support, TableRule
from planner.router.capabilities import KEEP, UNREADABLE
from planner.training import Training, train


@pytest.fixture(scope="module")
def training() -> Training:
    """Train once on made-up labels."""
    return train(made_labels(600), reference="large", cost=COST)


def simple(scorer, **settings) -> Router:
    """Return a router over two models, the second at a tenth of the cost."""
    one = np.ones(2)
    costs = Costs(np.array([10.0, 1.0]), np.array([30.0, 3.0]), one * 100, one * 0)
    return Router(("dear", "cheap"), "dear", scorer, costs, (Capability(context_tokens=1_000),) * 2, **settings)


def test_one_at_a_time_as_in_a_batch(training):
    """Deciding requests one by one gives the scores of the batch bit for bit."""
    router, requests = training.router, training.problem.requests
    batch = router.scores(requests, "2026-01-01")
    for row in range(0, len(requests), 7):
        alone = router.scores(requests.take(np.array([row])), "2026-01-01")
        for name in ("gains", "cost_usd", "feasible", "abstain", "home"):
            assert np.array_equal(getattr(batch, name)[[row]], getattr(alone, name))


def test_later_turns_repeat_the_decision(training):
    """A session's later turns are sent where its first turn was."""
    for user in training.problem.requests.user[:40]:
        first = [{"role": "user", "content": user}]
        later = [*first, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "go on"}]
        short = training.router.decide(first, {"app": "maths"})
        assert training.router.decide(later, {"app": "maths"}) == short


@given(
    st.recursive(
        st.one_of(st.none(), st.integers(), st.text(), st.binary()),
        lambda x: st.one_of(st.lists(x, max_size=3), st.dictionaries(st.one_of(st.text(), st.just("content")), x, max_size=3)),
        max_leaves=10,
    ),
    st.one_of(st.none(), st.integers(), st.dictionaries(st.text(), st.text())),
)
def test_decide_never_raises(training, messages, metadata):
    """Whatever is sent, a candidate comes back with a reason."""
    decision = training.router.decide(messages, metadata)
    asked = metadata.get("model") if isinstance(metadata, dict) else None
    assert decision.model in (*training.router.candidates, asked)
    assert decision.reason in REASONS


class Unreadable(dict):
    """A message that cannot be read."""

    def get(self, *_):
        """Refuse."""
        raise OSError("gone")


def test_what_cannot_be_read_goes_to_the_apps_reference():
    """A message that cannot be read is answered by the app's own reference, and the reason says why; an unknown app keeps its model."""
    router = simple(AlwaysRule.model(1, 0, 2), tau=-0.5)
    decision = router.decide([Unreadable()], {"app": "a"})
    assert (decision.model, decision.reason) == ("dear", REASONS[UNREADABLE])
    assert router.with_references({"a": "cheap"}).decide([Unreadable()], {"app": "a"}).model == "cheap"
    kept = router.with_apps(["a"]).decide([Unreadable()], {"app": "b", "model": "mine"})
    assert (kept.model, kept.reason) == ("mine", REASONS[KEEP])


def test_metadata_that_cannot_be_read_is_none():
    """Metadata that raises when it is asked, and apps or models that are no text, lead to the reference; nothing raises."""
    router = simple(AlwaysRule.model(1, 0, 2), tau=-0.5)
    bound = router.with_references({"a": "cheap"}).with_apps(["a"])
    broken = [
        Unreadable(app="a"),
        {"app": np.array(["a", "b"])},
        {"app": Unreadable()},
        {"app": ["a"], "model": np.array([1, 2])},
        7,
        "app",
    ]
    for beside in broken:
        for messages in ("prove", [Unreadable()]):
            found = router.decide(messages, beside), bound.decide(messages, beside)
            assert all(d.model in router.candidates and d.score in (0.0, 1.0) and d.reason in REASONS for d in found)
    assert bound.decide([Unreadable()], Unreadable(app="a")).reason == REASONS[KEEP]


def test_what_holds_itself_comes_to_an_end():
    """Content that holds itself, even twice at every level, is read up to a limit, and what text it has decides."""
    router, ring, twice = simple(AlwaysRule.model(1, 0, 2), tau=-0.5), [], []
    ring.append(ring)
    twice.extend([twice, twice])
    part = {"type": "text"}
    part["content"] = [part]
    start = time.perf_counter()
    for content in (ring, twice, [part], part):
        assert router.decide([{"role": "user", "content": content}]).reason == REASONS[5]
        assert router.decide(content).reason == REASONS[5]
    assert router.decide([{"role": "user", "content": ["prove", ring]}]).model == "cheap"
    assert time.perf_counter() - start < 30


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_no_text(kind):
    """A megabyte of bytes is no list of a million messages: it has no text to read, and takes no time."""
    router, much = simple(AlwaysRule.model(1, 0, 2), tau=-0.5), kind(bytes(1_000_000))
    start = time.perf_counter()
    assert router.decide(much).reason == router.decide([{"role": "user", "content": much}]).reason == REASONS[5]
    assert time.perf_counter() - start < 0.5


def test_long_names_are_not_remembered(training):
    """Apps and modalities are remembered, but not those of more than 256 characters, which a client could fill memory with."""
    router = replace(training.router, support=replace(training.router.support, apps=None, scripts=None))
    caches = router._gate._case, router.scorer._table._one_app

    def grown(beside: dict) -> list[int]:
        for cache in caches:
            cache.cache_clear()
        assert router.decide("prove", beside).reason in REASONS[:2]
        return [cache.cache_info().currsize for cache in caches]

    assert grown({"app": "chat"}) == grown({"app": "x" * 256}) == [1, 1]
    assert grown({"app": "x" * 257}) == [0, 0]
    router.decide("prove", {"app": "chat", "modalities": ["x" * 1_000]})
    assert caches[0].cache_info().currsize == 0


def test_deep_content_has_no_text_to_read():
    """Content nested beyond what is read contributes no text, so that the reference answers."""
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    decision = simple(AlwaysRule.model(1, 0, 2), tau=-0.5).decide([{"role": "user", "content": nested}])
    assert (decision.model, decision.reason) == ("dear", REASONS[5])


@pytest.mark.parametrize(("code", "name"), [(0, "dear"), (1, "cheap")])
def test_always_is_always(code, name):
    """A constant rule names its model for any request that the model can answer, and the reference for others."""
    router = simple(AlwaysRule.model(code, 0, 2), tau=-0.5)
    assert router.decide("anything").model == name
    assert router.decide("word " * 2_000).model == "dear"


def test_table_and_length_rules():
    """The table rule decides by app, unknown apps by its default; the length rule by length."""
    table = simple(TableRule(("a",), np.float32([[0, 0.1]]), np.float32([0, -0.1])))
    assert [table.decide("x", {"app": app}).model for app in ("a", "b")] == ["cheap", "dear"]
    length = simple(LengthRule(np.float32([0, 0.1]), np.float32([0, -0.05])))
    assert [length.decide(text).model for text in ("short", "long " * 50)] == ["cheap", "dear"]


def test_abstentions_go_to_the_apps_model_of_today():
    """Outside the support an app whose model of today is known gets that model, and the reason says which limit it was."""
    router = simple(AlwaysRule.model(1, 0, 2), tau=-0.5, support=Support(apps=("a",), max_tokens=5), references=(("b", "cheap"),))
    found = [router.decide(*args) for args in (("x", {"app": "b"}), ("one two three four five six", {"app": "a"}), ("", {"app": "a"}))]
    assert [d.model for d in found] == ["cheap", "dear", "dear"]
    assert [d.reason for d in found] == [REASONS[3], REASONS[4], REASONS[5]]


@pytest.mark.parametrize("messages", ["x", "one two three four five six", ""])
def test_an_unknown_app_keeps_what_it_asked_for(messages):
    """An app without labels or reference keeps the model the caller names, which need be no candidate; else the reference answers."""
    router = simple(AlwaysRule.model(1, 0, 2), tau=-0.5, support=Support(apps=("a",), max_tokens=5), references=(("b", "cheap"),))
    for metadata, model in (({"app": "c", "model": "other"}, "other"), ({"app": "c"}, "dear"), ({"model": 7}, "dear"), (None, "dear")):
        decision = router.decide(messages, metadata)
        assert (decision.model, decision.score, decision.reason) == (model, 0.0, "abstained: keep what you asked for")
    assert router.decide("x", {"app": "a", "model": "other"}).model == "cheap"
    assert router.decide_many(Requests.of([messages], app=["c"]))[0] == router.decide(messages, {"app": "c"})


def test_fewer_apps(training):
    """The router for one app decides that app as before and abstains from all others; apps it does not steer are refused."""
    requests = training.problem.requests
    chat = training.router.with_apps(["chat"])
    ours, theirs = training.router.scores(requests, ""), chat.scores(requests, "")
    mine = np.array(requests.app) == "chat"
    assert np.array_equal(training.router.choose(ours)[0][mine], chat.choose(theirs)[0][mine])
    assert np.array_equal(theirs.abstain > 0, (ours.abstain > 0) | ~mine)
    assert len({training.router.version, chat.version, training.router.with_apps(["maths"]).version}) == 3
    assert training.router.with_apps(["maths", "chat"]).version == training.router.version
    assert simple(AlwaysRule.model(1, 0, 2)).with_apps(["any"]).support.apps == ("any",)
    with pytest.raises(InputError, match=r"app 'cht'; expected one of chat, maths.*Did you mean 'chat'"):
        training.router.with_apps(["cht"])
    with pytest.raises(InputError, match="app 'maths'; expected one of chat"):
        chat.with_apps(["maths"])
    with pytest.raises(InputError, match="no app; expected at least one"):
        training.router.with_apps([])


def test_only_decisions_look_at_the_clock():
    """Scores need a date; on "" nobody has retired. Without a date only decide and decide_many take today's."""
    gone = (Capability(context_tokens=1_000), Capability(context_tokens=1_000, retires="2020-01-01"))
    router = replace(simple(AlwaysRule.model(1, 0, 2), tau=-0.5), capabilities=gone)
    requests = Requests.of(["x"])
    assert [router.scores(requests, at).feasible[0, 1] for at in ("", "2019-12-31", "2020-01-01")] == [True, True, False]
    assert (router.decide("x").model, router.decide_many(requests)[0].model) == ("dear", "dear")
    assert (router.decide("x", at="2019-12-31").model, router.decide_many(requests, at="").pop().model) == ("cheap", "cheap")
    with pytest.raises(TypeError, match="at"):
        router.scores(requests)


def test_versions(training):
    """τ changes the version but not the family; weights, candidates and references change both."""
    router = training.router
    moved = router.with_tau(0.5)
    assert (moved.family, moved.version != router.version) == (router.family, True)
    fewer = router.with_candidates(["large", "small"])
    assert len({router.family, fewer.family, router.with_references({"chat": "small"}).family}) == 3


def test_a_router_that_makes_no_sense_is_refused():
    """A reference that is no candidate, a candidate named twice, or a τ that is no number is refused at once."""
    good = simple(AlwaysRule.model(1, 0, 2))
    for change, sentence in (
        ({"reference": "other"}, "the reference 'other' among them"),
        ({"candidates": ("dear", "dear")}, "each once"),
        ({"capabilities": good.capabilities[:1]}, "1 capabilities for 2 candidates"),
        ({"tau": math.nan}, "tau nan"),
        ({"unit": "turn"}, "unit 'turn'"),
        ({"references": (("chat", "gone"),)}, "reference 'gone' of app 'chat'; expected one of dear, cheap"),
    ):
        with pytest.raises(InputError, match=sentence):
            replace(good, **change)


def test_fewer_candidates(training):
    """Taking a candidate away leaves the others' gains; the reference cannot be taken away."""
    requests = training.problem.requests
    whole, part = (r.scores(requests, "").gains for r in (training.router, training.router.with_candidates(["large", "small"])))
    assert np.array_equal(whole[:, [0, 2]], part)
    with pytest.raises(InputError, match="the reference 'large' among them"):
        training.router.with_candidates(["small", "middle"])
    with pytest.raises(InputError, match="Did you mean 'small'"):
        training.router.with_candidates(["large", "smal"])


def test_decide_many_is_decide(training):
    """Columns of requests are decided as each request on its own."""
    requests = training.problem.requests.take(np.arange(30))
    many = training.router.decide_many(requests)
    assert many == [
        training.router.decide([{"role": "user", "content": u}], {"app": a}) for u, a in zip(requests.user, requests.app, strict=True)
    ]


def test_scores_take():
    """Rows of scores are taken from every column."""
    scores = simple(AlwaysRule.model(1, 0, 2)).scores(Requests.of(["a", "b", ""]), "")
    assert isinstance(scores, Scores)
    assert (len(scores.take(np.array([2]))), scores.take(np.array([2])).abstain.tolist()) == (1, [5])


def test_latency_is_printed(training):
    """A decision on a prompt of one kilobyte takes well under 20 ms; its p50 and p99 are printed."""
    chat = [
        {"role": "system", "content": "You are a support agent. " * 8},
        {"role": "user", "content": ("Why is order 12345 late? " * 40)[:1000]},
    ]
    times = []
    for _ in range(300):
        start = time.perf_counter()
        training.router.decide(chat, {"app": "chat"})
        times.append(time.perf_counter() - start)
    p50, p99 = np.percentile(times, [50, 99]) * 1e6
    sys.stdout.write(f"decision: p50 {p50:.0f} µs, p99 {p99:.0f} µs\n")
    assert p50 < 20_000
