"""What the audit says beside its figures: what of them is assumed and why, and which rows of the source are in none."""

from __future__ import annotations

import json
from pathlib import Path

from support.litellm_records import PAYLOAD
from support.small import traffic_of

from planner.prices import PriceBook, audit
from planner.traffic import read

_EARLY = {"model": "gpt-5-mini", "input_tokens": 1_000, "service_tier": ["batch", "standard"], "timestamp": "2026-09-01T00:00:00Z"}


def test_assumed_rates_and_what_the_log_does_not_prove_are_told_apart(tmp_path: Path) -> None:
    """Dollars at an assumed rate are called so; those of tokens that nothing proves are not; where both are, each has its own."""
    book = PriceBook.load(assume_tier_before_start=True)
    said = [
        audit(traffic_of(tmp_path / str(i), {**_EARLY, "evidence": e}), book).text
        for i, e in enumerate((["measured"] * 2, ["measured", "assumed"], ["assumed"] * 2))
    ]
    assert "$0.000125 of it rests on assumed rates." in said[0]
    unproved = "token counts of {} requests that the log's own numbers do not prove"
    assert f"All of it is assumed: $0.000125 rests on assumed rates, $0.000250 on {unproved.format(1)}." in said[1]
    assert f"$0.000375 on {unproved.format(2)}, some of it on both." in said[2]


def test_earlier_calls_are_said_to_be_in_attempts(tmp_path: Path) -> None:
    """A failed call that a later one repeats is in that request's attempts, and the audit says so; it is not called a row in no figure."""
    failed = {"status": "failure", "error_information": {"error_class": "Timeout"}, "startTime": 1762160300.0, "endTime": 1762160301.0}
    calls = [{**PAYLOAD, **failed, "id": "a"}, {**PAYLOAD, "id": "b"}, {"id": "c", "startTime": 1}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(c) + "\n" for c in calls), "utf-8")
    log = read(tmp_path / "log.jsonl", "litellm_payload", out=tmp_path / "out")
    assert (len(log), log.frame("attempts")["attempts"].tolist(), len(log.quarantine)) == (1, [2], 2)
    text = audit(log).text
    assert "1 rows of the source were set aside when it was read and are in no figure" in text
    assert "1 rows of the source are earlier calls of these requests: in attempts and in what retries cost, and in no other figure." in text
