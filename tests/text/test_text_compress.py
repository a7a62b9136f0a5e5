"""Compression of prompts: what stays, what goes, and that nothing is invented or goes over its budget."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.text.compress import compress, question_of
from planner.text.history import message_tokens, trim_history
from planner.text.lossless import lossless, minified, squeezed
from planner.text.messages import conversation
from planner.text.tokens import count_tokens

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
RULES = "Refunds are paid within fourteen days after the parcel has come back to the warehouse, less the cost of what was used. " * 2
PASSAGES = (
    "Halvik is a port on the southern shore of the fjord. It was founded in 1412 by merchants of the Grain League. For two centuries "
    "the town lived on herring and timber. The railway reached the quay in 1871 and brought it back to life. Today the terminal "
    "handles 40 per cent of the imports. The old customs house serves as a museum of ships and nets."
)


@given(VALUES, st.integers(0, 4))
def test_minified_json_is_the_same_json(value, indent):
    """What JSON says is the same after its layout went, to the letter of every number, and it has no white space outside strings."""
    text = json.dumps(value, indent=indent)
    made = minified(text)
    assert json.loads(made) == json.loads(text)
    if isinstance(value, dict | list):
        assert re.sub(r'"(?:[^"\\]|\\.)*"', "", made).split() in ([], ["".join(re.sub(r'"(?:[^"\\]|\\.)*"', "", made).split())])


@given(st.lists(st.text(st.sampled_from('ab {}[]"\n\t`:,1'), max_size=60), max_size=4))
def test_lossless_never_adds_tokens_nor_takes_words(texts):
    """No text has more tokens than before, and without white space every text is what it was."""
    made = lossless(texts)
    assert (count_tokens(made) <= count_tokens(texts)).all()
    assert ["".join(t.split()) for t in made] == ["".join(t.split()) for t in texts]


def test_fenced_code_keeps_its_spaces():
    """Spaces inside fenced code stay, those around it are squeezed."""
    code = "```\nx  =  1\n\n\n\ny = 2\n```"
    assert squeezed(f"a   b\n{code}\nc   d") == f"a b\n{code}\nc d"


def test_a_repeated_block_becomes_a_note_and_can_be_put_back():
    """The second of two equal blocks is a note whose words find the first one; the first stays."""
    first, second = lossless([f"Rules:\n\n{RULES}", f"Again:\n\n{RULES}\n\nBye."])
    start = re.search(r"\[repeats above: (.*) …\]", second)[1]
    found = [b for b in first.split("\n\n") if b.startswith(start)]
    assert [RULES.strip()] == [b.strip() for b in found]
    assert RULES.strip() not in second


def test_the_system_prefix_stays_to_the_letter():
    """With keep_prefix the first system message is the same object of text, whatever can be squeezed in it; without it it is squeezed."""
    chat = [{"role": "system", "content": f"Be   kind.\n\n{RULES}"}, {"role": "user", "content": f"So:\n\n{RULES}\n\nand   now?"}]
    kept, changed = compress(chat, "lossless"), compress(chat, "lossless", keep_prefix=False)
    assert kept[0] == chat[0]
    assert "[repeats above" in kept[1]["content"]
    assert "   " not in changed[0]["content"]


def conversations() -> st.SearchStrategy[list[dict]]:
    """Conversations of turns with tool calls in OpenAI's or Anthropic's shape."""
    call = st.tuples(st.integers(1, 3), st.booleans())
    turn = st.lists(call, max_size=3)
    return st.lists(turn, min_size=1, max_size=6).map(built)


def built(turns: list[list[tuple[int, bool]]]) -> list[dict]:
    """Write out turns of (results, Anthropic's shape) steps."""
    chat, number = [{"role": "system", "content": "Be brief and exact in all that you say."}], 0
    for t, steps in enumerate(turns):
        chat.append({"role": "user", "content": f"question {t} of several that were asked"})
        for results, blocks in steps:
            ids = [f"c{number + i}" for i in range(results)]
            number += results
            if blocks:
                chat.append({"role": "assistant", "content": [{"type": "tool_use", "id": i, "name": "f", "input": {}} for i in ids]})
                chat.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": i, "content": f"result {i}"} for i in ids]})
            else:
                chat.append(
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [{"id": i, "function": {"name": "f", "arguments": "{}"}} for i in ids],
                    }
                )
                chat += [{"role": "tool", "tool_call_id": i, "content": f"result {i}"} for i in ids]
    return chat


def calls_and_results(chat: list[dict]) -> tuple[list[str], list[str]]:
    """Read the ids of calls and of results out of both shapes."""
    blocks = [b for m in chat if isinstance(m.get("content"), list) for b in m["content"]]
    calls = [c["id"] for m in chat for c in m.get("tool_calls", ())] + [b["id"] for b in blocks if b["type"] == "tool_use"]
    results = [m["tool_call_id"] for m in chat if m["role"] == "tool"] + [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
    return sorted(calls), sorted(results)


@given(conversations(), st.integers(1, 4), st.none() | st.integers(0, 120))
def test_trimming_keeps_pairs_order_and_the_newest(chat, turns, budget):
    """Calls and results stay paired, what stays is in order, system, last question and last step are there, and no turn too many."""
    made = trim_history(chat, turns, budget)
    calls, results = calls_and_results(made)
    assert calls == results
    places = [next(i for i, m in enumerate(chat) if m is kept) for kept in made]
    assert places == sorted(places)
    asked = [m for m in chat if m["role"] == "user" and isinstance(m["content"], str)]
    assert made[0] is chat[0]
    assert any(m is asked[-1] for m in made)
    assert made[-1] is chat[-1]
    assert sum(m["role"] == "user" and isinstance(m["content"], str) for m in made) <= turns
    if budget is None:
        assert sum(m["role"] == "user" and isinstance(m["content"], str) for m in made) == min(turns, len(asked))


@given(conversations(), st.integers(0, 120))
def test_a_budget_is_kept_or_all_that_may_go_is_gone(chat, budget):
    """The trimmed text is within the budget, or only instructions, the last question and the last step are left."""
    made = trim_history(chat, 99, budget)
    least = trim_history(chat, 99, 0)
    assert message_tokens(made) <= budget or made == least


def test_the_question_is_found_where_people_put_it():
    """A question is the last line that asks, before or after the context, else a short text as a whole; code and long texts ask nothing."""
    long = f"{PASSAGES}\n{PASSAGES}"
    assert question_of(f"{long}\n\nWho founded it?")[1] == "Who founded it?"
    assert question_of(f"Who founded it?\n\n{long}")[1] == "Who founded it?"
    assert question_of("Summarise the text.")[1] == "Summarise the text."
    assert question_of(f"{long}\n\nSummarise the text.")[1] == ""
    assert question_of("x = a ? b : c;\n" * 40)[1] == ""


def test_without_a_question_or_prose_nothing_is_cut():
    """An extraction without a question, code and JSON keep every word when contexts are ranked."""
    invoice = "\n".join(f" {i}  Site visit   {i} x   193.00     1930.00" for i in range(30))
    code = "\n".join(f"def f{i}(a, *, limit={i}):\n    return [r for r in a if r['x'] > {i}]" for i in range(20))
    rows = json.dumps([{"at": f"23:{i}", "state": "ok", "ms": i} for i in range(40)])
    for context, asked in ((invoice, ""), (code, "What does f3 return?"), (rows, "Which state is it?")):
        chat = [{"role": "user", "content": f"{context}\n\n{asked}"}]
        assert compress(chat, "rank", ratio=4.0) == chat


@pytest.mark.parametrize(
    "chat",
    [
        [{"role": "system", "content": "Answer."}, {"role": "user", "content": f"{PASSAGES}\n\nWhen was the port founded?"}],
        [{"role": "system", "content": "Answer."}, {"role": "user", "content": f"When was the port founded?\n\n{PASSAGES}"}],
        [
            {"role": "system", "content": "Answer."},
            {"role": "system", "content": PASSAGES},
            {"role": "user", "content": "When was the port founded?"},
        ],
        [
            {"role": "user", "content": [{"type": "text", "text": "When was the port founded?"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "find", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": PASSAGES}]}]},
        ],
    ],
    ids=["context first", "question first", "passages of the system", "tool result"],
)
def test_contexts_are_cut_wherever_they_stand(chat):
    """The context is cut to half and keeps the answer; question, roles and instructions are as they were."""
    made = compress(chat, "rank", ratio=2.0)
    text = conversation(made).full
    assert message_tokens(made) <= message_tokens(chat) - int(count_tokens([PASSAGES])[0]) // 2 + 2
    assert "1412" in text
    assert "When was the port founded?" in text
    assert [m["role"] for m in made] == [m["role"] for m in chat]


def test_a_budget_is_shared_by_the_contexts_of_a_request():
    """With budget_tokens two tool results together keep no more tokens than that."""
    other = PASSAGES.replace("Halvik", "Lorn").replace("1412", "1533")
    chat = [{"role": "user", "content": "When was Halvik founded?"}]
    chat += [{"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}]
    chat += [{"role": "tool", "tool_call_id": "a", "content": PASSAGES}, {"role": "tool", "tool_call_id": "b", "content": other}]
    made = compress(chat, "rank", budget_tokens=80)
    assert int(count_tokens([m["content"] for m in made[2:]]).sum()) <= 80


def test_what_cannot_be_is_refused():
    """A method nobody knows, a ratio below one and fewer than one turn give one sentence each."""
    with pytest.raises(InputError, match="method 'zip'; expected one of lossless, history, rank"):
        compress("hi", "zip")
    with pytest.raises(InputError, match="ratio 0"):
        compress("hi", "rank", ratio=0.5)
    with pytest.raises(InputError, match="keep_turns 0"):
        compress("hi", "history", keep_turns=0)


@given(
    st.recursive(
        st.none() | st.text(max_size=5) | st.integers(),
        lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["text", "content", "role", "type"]), x, max_size=3),
    )
)
def test_any_content_passes(content):
    """Whatever a message holds, no method raises, and nothing but texts changes."""
    chat = [{"role": "user", "content": content}]
    for method in ("lossless", "history", "rank"):
        made = compress(chat, method)
        assert [m["role"] for m in made] == ["user"]
