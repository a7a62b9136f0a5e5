"""Context: sessions, templates, tools, code, other languages, typos; what cannot be answered is settled before any score."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.labels import COST, made_labels

from planner.router import REASONS, STRUCTURE, AlwaysRule, Capability, Costs, FeatureSpec, Requests, Router, Support, features
from planner.router.capabilities import SCRIPT, TOOLS
from planner.router.load import router_settings
from planner.router.scripts import SCRIPTS, script
from planner.training import Training, train

SPEC = FeatureSpec()
WIDE = Capability(context_tokens=100_000, tools=True, formats=("text", "json_object", "json_schema"), modalities=("text", "image"))
ANY_METADATA = st.fixed_dictionaries(
    {},
    optional={
        "app": st.sampled_from(["chat", "maths", "other"]),
        "tools": st.just([{}]),
        "response_format": st.sampled_from(["json_object", "json_schema", "?"]),
        "max_tokens": st.integers(0, 5_000),
        "text_state": st.sampled_from(["full", "cut", "none"]),
        "modalities": st.sampled_from(["image", "audio"]),
    },
)


@pytest.fixture(scope="module")
def training() -> Training:
    """Train once on made-up labels."""
    return train(made_labels(600), reference="large", cost=COST)


@pytest.fixture(scope="module")
def routers(training) -> list[Router]:
    """Return the trained router with its own support, without limits, and with every limit."""
    supports = training.router.support, Support(), Support(apps=("chat",), max_tokens=20, tools=False, scripts=("latin",))
    return [replace(training.router, support=s).with_references({"maths": "middle"}) for s in supports]


def cheapest(small: Capability, support: Support | None = None, unit: str = "session") -> Router:
    """Return a router that sends everything it may to ``small``; ``large`` can do anything."""
    one = np.ones(2)
    costs = Costs(np.array([10.0, 1.0]), np.array([30.0, 3.0]), one * 100, one * 0)
    return Router(("large", "small"), "large", AlwaysRule.model(1, 0, 2), costs, (WIDE, small), support or Support(), -0.5, unit)


def chat(*turns: str, system: str = "") -> list[dict[str, str]]:
    """Return a conversation: user and assistant in turn."""
    head = [{"role": "system", "content": system}] if system else []
    return head + [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(turns)]


@given(st.lists(st.text(max_size=40), max_size=4), ANY_METADATA, st.sampled_from(["2026-01-01", ""]))
def test_one_decision_is_that_of_the_batch(routers, turns, metadata, at):
    """Whatever is asked, deciding it alone names the same model, score and reason as deciding it among others does."""
    talk, columns = chat(*turns), {{"tools": "has_tools"}.get(k, k): [v, None] for k, v in metadata.items()}
    for router in routers:
        alone = router.decide(talk, metadata, at=at)
        assert alone == router.decide_many(Requests.one(talk, metadata), at=at)[0]
        assert alone == router.decide_many(Requests.of([talk, "x"], **columns), at=at)[0]


def test_a_follow_up_stays_with_its_session_and_is_read_in_its_context(training):
    """A "yes, go ahead" goes where its first turn went; decided by itself it is no first turn: its context and place count."""
    hard, easy = (chat(f"please {w} the report", "Shall I?", "yes, go ahead") for w in ("prove derive", "greet thank"))
    by_session = training.router
    for talk in (hard, easy):
        assert by_session.decide(talk, {"app": "chat"}) == by_session.decide(talk[:1], {"app": "chat"})
    requests = Requests.of([hard, chat("yes, go ahead")], unit="request")
    assert requests.user == ("yes, go ahead",) * 2
    later, first = features(requests, SPEC).structure
    for column in ("ln_context", "ln_turn"):
        assert later[STRUCTURE.index(column)] > 0 == first[STRUCTURE.index(column)]


@pytest.mark.parametrize("unit", ["session", "request"])
def test_an_oversized_prompt_never_goes_to_a_small_window(unit):
    """What does not fit, by prompt, template, history or room for the answer, is not sent to the small window, whatever it costs."""
    router = cheapest(Capability(context_tokens=1_000), unit=unit)
    long = "word " * 2_000
    assert router.decide(chat("short")).model == "small"
    for talk, limit in ((chat(long), 0), (chat("hi", system=long), 0), (chat("hi", long, "go on"), 0), (chat("hi"), 1_000)):
        assert router.decide(talk, {"max_tokens": limit}).model == "large"


@pytest.mark.parametrize(
    ("small", "metadata"),
    [
        (replace(WIDE, tools=False), {"tools": [{}]}),
        (replace(WIDE, formats=("text",)), {"response_format": {"type": "json_schema"}}),
        (replace(WIDE, modalities=("text",)), {"modalities": "image"}),
        (replace(WIDE, apps=("inside",)), {"app": "outside"}),
        (replace(WIDE, retires="2026-06-01"), {}),
    ],
)
def test_what_a_model_cannot_do_is_respected_before_scoring(small, metadata, monkeypatch):
    """Tools, schema, modalities, an app's allow-list and the date of retirement rule a model out however good its score."""
    router = cheapest(small)
    at = "2026-06-01"
    assert router.decide("hi", {"app": "inside"}, at="2026-05-31").model == "small"
    decision = router.decide("hi", metadata, at=at)
    assert (decision.model, decision.score, decision.reason) == ("large", 0.0, REASONS[1])
    nobody = replace(router, capabilities=(small, small))
    monkeypatch.setattr(AlwaysRule, "gains", None)  # whoever scored would fail, and the reason would say so
    assert nobody.decide("hi", metadata, at=at).reason == REASONS[2]


def test_the_template_does_not_drown_the_user(training):
    """Behind one long template, two users with different wishes get different scores, and the hard one is sent to the better model."""
    system = "You are the assistant of a large shop. Answer politely and briefly, and never promise a date. " * 60
    asked = [chat(f"please {w} with the number today", system=system) for w in ("prove derive integrate", "greet thank spell")]
    scores = training.router.scores(Requests.of(asked, app=["chat"] * 2), "")
    small = training.router.candidates.index("small")
    assert scores.gains[0, small] < scores.gains[1, small] - 0.2
    plain = training.router.scores(Requests.of([chat(*[m["content"] for m in a[1:]]) for a in asked], app=["chat"] * 2), "")
    shift = scores.gains[:, small] - plain.gains[:, small]
    assert abs(shift[0] - shift[1]) < 1e-6, "a template without trained words moves every user's score alike"


TEXTS = {
    "german": (
        "Wo bleibt meine Bestellung? Schönes Wetter, aber kein Paket.",
        "Bitte übersetze den Vertrag ins Englische, ohne Änderungen.",
    ),
    "chinese": ("我的订单在哪里？天气很好，但是没有包裹。", "请把合同翻译成英文，不要改动内容。"),
    "arabic": ("أين طلبي؟ الطقس جميل ولكن لا توجد حزمة.", "يرجى ترجمة العقد إلى الإنجليزية دون تغيير."),
    "code": ("def f(x):\n    return {'a': x ** 2}\n", "SELECT name FROM users WHERE id = 3;"),
}


@pytest.mark.parametrize("language", TEXTS)
def test_other_languages_and_code_have_features_that_tell_texts_apart(language):
    """A text of any script has many features, shares some with a related text, and few with another one."""
    one, other = TEXTS[language]
    found = features(Requests.of([one, one + " " + one, other]), SPEC)
    rows = [set(found.indices[a:b].tolist()) for a, b in zip(found.indptr, found.indptr[1:], strict=False)]
    assert len(rows[0]) > 15
    assert len(rows[0] & rows[1]) > 0.9 * len(rows[0])
    assert len(rows[0] & rows[2]) < 0.3 * len(rows[0])


def test_code_is_seen():
    """Code marks and words of programming stand out against prose of the same length."""
    found = features(Requests.of([TEXTS["code"][0], "please tell me where my parcel may be"]), SPEC).structure
    for column in ("code_marks", "code_words", "ln_lines"):
        assert found[0, STRUCTURE.index(column)] > found[1, STRUCTURE.index(column)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("where is it?", "latin"),
        ("", "latin"),
        ("42 → 43 … “x”", "latin"),
        ("Schöne Grüße aus Köln", "accented latin"),
        ("a café " + "and much plain text beside it " * 5, "latin"),
        ("我的订单在哪里", "han"),
        ("注文はどこですか", "kana"),
        ("주문은 어디에 있나요", "hangul"),
        ("أين طلبي", "arabic"),
        ("Где мой заказ", "cyrillic"),
        ("Πού είναι", "greek"),
        ("मेरा ऑर्डर कहाँ है", "indic"),
        ("คำสั่งซื้อของฉันอยู่ที่ไหน", "southeast asian"),
        ("איפה ההזמנה", "hebrew"),
    ],
)
def test_scripts(text, name):
    """A text's script is that of most of its letters."""
    assert script(text) == name


@given(st.text())
def test_any_text_has_a_script(text):
    """Whatever the characters, one of the known scripts comes back."""
    assert script(text) in SCRIPTS


def test_support_is_what_the_labels_had():
    """Tools and scripts that no label had are abstained from, each with its own reason; those it had are not."""
    seen = Requests.of(["hello", "Schöne Grüße"], app=["a", "b"], text_state=["full", "cut"])
    support = Support.of(seen, without=["b"])
    assert support == Support(("a",), int(seen.input_tokens.max()), True, False, ("accented latin", "latin"))
    assert Support.of(Requests.of(["x"], has_tools=[True])) == Support(None, 1, False, True, ("latin",))
    router = cheapest(WIDE, support)
    found = [router.decide(*a).reason for a in (("hi", {"app": "a"}), ("hi", {"app": "a", "tools": [{}]}), ("我的", {"app": "a"}))]
    assert found == [REASONS[0], REASONS[TOOLS], REASONS[SCRIPT]]


def test_limits_that_do_not_bind_leave_no_trace():
    """A support without limits on tools and scripts is stored, and versioned, as before these existed; one with limits comes back."""
    assert set(router_settings(cheapest(WIDE))["support"]) == {"apps", "max_tokens", "cut_text"}
    bound = Support(("a",), 5, True, False, ("latin",))
    stored = router_settings(cheapest(WIDE, bound))["support"]
    assert Support(**{k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}) == bound
    assert cheapest(WIDE, bound).version != cheapest(WIDE, Support(("a",), 5, True)).version


def test_typos_rarely_change_a_decision(training):
    """One changed letter leaves at least 90 of 100 decisions as they were."""
    rng = np.random.default_rng(0)
    requests = training.problem.requests.take(np.arange(100))
    typed = []
    for text in requests.user:
        letters = [i for i, c in enumerate(text) if c.isalpha()]
        at = int(rng.choice(letters))
        typed.append(text[:at] + chr(97 + int(rng.integers(26))) + text[at + 1 :])
    apps = list(requests.app)
    before, after = (training.router.decide_many(Requests.of(t, app=apps)) for t in (list(requests.user), typed))
    assert sum(a.model == b.model for a, b in zip(before, after, strict=True)) >= 90


@given(
    st.text(max_size=80), st.sampled_from([str.upper, str.lower, str.title, str.strip, lambda t: " \n\t" + t + "\u3000", lambda t: t * 2])
)
def test_case_and_blanks_never_raise(training, text, change):
    """Upper case, blanks of any kind and repetition are read like any other text."""
    assert training.router.decide(change(text), {"app": "chat"}).reason != REASONS[7]


def test_a_router_that_has_decided_can_be_copied(training):
    """A router goes to other processes after it has decided, and decides alike there."""
    asked = chat("why is that so?", system="be brief")
    decision = training.router.decide(asked, {"app": "chat"}, at="2026-01-01")
    for twin in (pickle.loads(pickle.dumps(training.router)), copy.deepcopy(training.router)):
        assert twin.decide(asked, {"app": "chat"}, at="2026-01-01") == decision
