"""Guards keep apart what vectors hardly tell apart."""

from __future__ import annotations

import pytest

from planner.text.guards import guard

APART = [
    ("Where is order 123?", "Where is order 124?"),
    ("Refund invoice A-17", "Refund invoice A-71"),
    ("Is version 3.1 supported?", "Is version 3.10 supported?"),
    ("Transfer 20 from savings to 30", "Transfer 30 from savings to 20"),
    ("Add two seats", "Add three seats"),
    ("How far is Rome from Paris?", "How far is Paris from Rome?"),
    ("What is the capital of Austria?", "What is the capital of Australia?"),
    ("Does plan A include it?", "Does plan B include it?"),
    ("Can I return opened boxes?", "Can't I return opened boxes?"),
    ("How do I turn on the siren?", "How do I turn off the siren?"),
    ("With receipt", "Without receipt"),
    ("Kann ich kündigen?", "Kann ich nicht kündigen?"),
    ("Reset the MX camera", "Reset the QX camera"),
]
TOGETHER = [
    ("Where is order 123?", "where's my order #123"),
    ("How do I reset my password?", "how can I reset the password please"),
    ("I cannot log in.", "I can't log in!"),
    ("Weather in Berlin. Thanks", "thanks: what's the weather in Berlin?"),
    ("I'm locked out", "locked out, I think"),
]


@pytest.mark.parametrize(("one", "other"), APART)
def test_other_numbers_names_and_negations_are_kept_apart(one: str, other: str) -> None:
    """Two questions that differ in a number, a name, their order or a negation have different guards."""
    assert guard(one) != guard(other)


@pytest.mark.parametrize(("one", "other"), TOGETHER)
def test_wording_alone_does_not_keep_apart(one: str, other: str) -> None:
    """Two questions that differ in other words have the same guard."""
    assert guard(one) == guard(other)


def test_what_opens_a_sentence_is_no_name() -> None:
    """A capital counts inside a sentence or a word, not where a sentence, a line or a bullet begins."""
    assert guard('Please help. Open the Door\n- Window "Gate" iPhone').names == ("door", "gate", "iphone")
