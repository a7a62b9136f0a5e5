"""What drift measures, in words: the measures, what each column of them counts, and what to do when one changed.

In: names of features, levels, and how many labels a floor takes. Out: phrases. Knows nothing of logs or tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from planner.router.structure import STRUCTURE

__all__ = ["FEATURES", "MEASURES", "Measure", "advice", "level"]


class Measure(NamedTuple):
    """A measure: what it is about, and what to do when it changed; ``{labels}`` is how many labels the floor takes."""

    about: str
    fix: str


_RELABEL = (
    "the router was certified on other requests: label about {labels} of the new ones (planner labels sample), train and export again"
)
_GATE = "grade the evaluation set again with it, and compare: planner gate --labels NEW --baseline OLD"
#: Name → what it is, in the order in which they are shown.
MEASURES: Mapping[str, Measure] = {
    "prompt length": Measure("how long prompts are", _RELABEL),
    "language": Measure("the script that users write in", _RELABEL),
    "kind of text": Measure("digits, code, questions and other marks of what is asked", _RELABEL),
    "tools and formats": Measure("tools, response formats, modalities and output limits", _RELABEL),
    "prompt templates": Measure("versions and texts of system prompts", f"a prompt was edited: {_GATE}"),
    "app mix": Measure(
        "which apps ask",
        "what is saved and lost is a mix over apps: simulate the plan on this log again (planner simulate), and label apps that are new",
    ),
    "router scores": Measure("gains that the router predicts", _RELABEL),
    "router decisions": Measure(
        "where the router sends requests", "simulate the plan on this log again: the bill and quality it promised move"
    ),
    "abstentions": Measure("why the router leaves requests alone", _RELABEL),
    "model mix": Measure(
        "which models answer what the router did not move", "today's models are the reference: train and export again with --log"
    ),
    "model versions": Measure("which dated version of a model answers", f"a model was replaced under its name: {_GATE}"),
    "output length": Measure(
        "how long answers are", "the bill was predicted from other lengths: simulate this log again, then planner verify"
    ),
    "cached share": Measure("input read from the provider's prompt cache", "look for what changed at the start of prompts: planner audit"),
    "failures": Measure(
        "requests that ended without an answer", "look at the provider's status, and at retries and fallbacks: planner audit"
    ),
}
#: Feature of the router → the measure it belongs to, and what "reaches a level" is in words; a level of 1 of a flag is not said.
FEATURES: Mapping[str, tuple[str, str]] = {
    "ln_tokens": ("prompt length", "a deciding turn of {} tokens or more"),
    "ln_lines": ("prompt length", "a deciding turn of {} lines or more"),
    "ln_characters": ("prompt length", "a deciding turn of {} characters or more"),
    "ln_context": ("prompt length", "{} bytes or more before the deciding turn"),
    "ln_turn": ("prompt length", "{} answers or more before the deciding turn"),
    "word_bytes": ("kind of text", "{} or more of the text in words"),
    "digits": ("kind of text", "{} or more of the text in digits"),
    "capitals": ("kind of text", "{} or more of the text in capitals"),
    "punctuation": ("kind of text", "{} or more of the text in punctuation"),
    "code_marks": ("kind of text", "{} or more of the text in marks of code"),
    "maths_marks": ("kind of text", "{} or more of the text in marks of arithmetic"),
    "question_marks": ("kind of text", "{} question marks or more"),
    "question_words": ("kind of text", "{} question words or more"),
    "reasoning_words": ("kind of text", "{} words of reasoning or more"),
    "code_words": ("kind of text", "{} words of code or more"),
    "simple_words": ("kind of text", "{} words of simple tasks or more"),
    "non_ascii": ("language", "{} or more of the text outside ASCII"),
    "ln_template": ("prompt templates", "a system prompt of {} characters or more"),
    "tools": ("tools and formats", "tools"),
    "json_object": ("tools and formats", "a JSON object to be answered"),
    "json_schema": ("tools and formats", "a JSON schema to be kept"),
    "not_only_text": ("tools and formats", "more than text to be read"),
    "limited": ("tools and formats", "an output limit"),
    "ln_max_tokens": ("tools and formats", "an output limit of {} tokens or more"),
}
assert tuple(sorted(FEATURES)) == tuple(sorted(STRUCTURE))
_SHARES = ("word_bytes", "digits", "capitals", "punctuation", "code_marks", "maths_marks", "non_ascii")


def level(feature: str, edge: float) -> str:
    """Say which requests reach a level of a feature of the router.

    >>> level("ln_tokens", math.log1p(1203)), level("tools", 1.0), level("digits", 0.0313)
    ('requests with a deciding turn of 1,203 tokens or more', 'requests with tools', 'requests with 3.1 % or more of the text in digits')
    """
    words = FEATURES[feature][1]
    if feature in _SHARES:
        return f"requests with {words.format(f'{100 * edge:.2g} %')}"
    return f"requests with {words.format(f'{math.ceil(math.expm1(edge) - 1e-3):,}')}"


def advice(measure: str, labels: int) -> str:
    """Say what to do when ``measure`` changed; a floor takes so many ``labels``."""
    return MEASURES[measure].fix.format(labels=f"{labels:,}")
