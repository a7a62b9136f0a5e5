"""What answers took from their prompts is looked for in prompts that were cut: every count can be made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.small import traffic_of

from planner.errors import InputError, NeedsError
from planner.figures import compression
from planner.outcomes import retained
from planner.traffic import Traffic

N = 60
_FILLER = "The meadow lies quietly behind the old mill and nobody walks there in the evening. " * 3


def _log(folder: Path, answer: str) -> Traffic:
    """Make a log whose documents hold one sentence the question asks for, at the end, and one it does not."""
    context = f"{_FILLER}The canteen sells 77 soups. {_FILLER}The warranty of the pump lasts 41 months."
    prompt = json.dumps([{"role": "user", "content": f"{context}\nHow long does the warranty of the pump last?"}])
    return traffic_of(
        folder,
        {
            "user": [f"u{i}" for i in range(N)],
            "app": ["docs"] * (N - 1) + ["chat"],
            "provider": "openai",
            "model": "gpt-5.4",
            "messages": prompt,
            "text_state": "full",
            "response": answer,
            "input_tokens": 200,
            "output_tokens": 20,
        },
    )


def test_what_the_question_asks_for_stays(tmp_path: Path) -> None:
    """At a sixteenth of the tokens an answer from the sentence asked for keeps all, one from another nothing, one from both half."""
    cases = {"It lasts 41 months.": 1.0, "They sell 77 soups.": 0.0, "It lasts 41 months, and 77 soups are sold.": 0.5}
    for i, (answer, share) in enumerate(cases.items()):
        table = retained(_log(tmp_path / str(i), answer), "docs", [16.0], requests=40)
        row = table.iloc[0]
        assert (row["dataset"], row["method"], row["ratio"], row["questions"], row["retention"]) == ("docs", "rank", 16.0, 40, share)
        assert row["low"] <= share <= row["high"]
        assert compression(table).numbers["retention"].tolist() == [share]


def test_the_same_seed_draws_the_same_requests(tmp_path: Path) -> None:
    """Which requests are read depends on the seed and their ids alone; all are read where there are fewer."""
    log = _log(tmp_path, "It lasts 41 months.")
    assert retained(log, "docs", [3.0], requests=10, seed=4).equals(retained(log, "docs", [3.0], requests=10, seed=4))
    seen: list[tuple[int, int]] = []
    assert retained(log, "docs", [3.0], requests=1_000, progress=lambda *done: seen.append(done))["questions"].tolist() == [N - 1]
    assert seen[-1] == (N - 1, N - 1)


def test_what_cannot_be_looked_for_is_refused(tmp_path: Path) -> None:
    """An unknown app, answers that state nothing that could be looked up, and a log without prompts are errors."""
    log = _log(tmp_path / "a", "Yes, it does.")
    with pytest.raises(InputError, match="app 'doc'"):
        retained(log, "doc")
    with pytest.raises(InputError, match="no prompt of docs"):
        retained(log, "docs", [2.0])
    bare = traffic_of(tmp_path / "b", {"app": ["docs"], "provider": "openai", "model": "gpt-5.4", "latency_ms": np.array([1.0])})
    with pytest.raises(NeedsError):
        retained(bare, "docs")
