"""``planner read --sessions --sample`` goes on with the log that was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from typer.testing import CliRunner

from planner.cli.read import read
from planner.traffic import Traffic


def test_a_share_of_a_log_with_its_conversations(tmp_path: Path) -> None:
    """The folder at --out is the sampled one, what was done is told, and money stands for the whole log."""
    records = [
        {"request_id": f"r{i}", "timestamp": f"2026-11-01T00:{i:02}:00Z", "model": "gpt-5", "provider": "openai", "input_tokens": 100_000,
         "user": f"u{i % 20}", "messages": json.dumps([{"role": "user", "content": f"q{i}"}]), "text_state": "full"}
        for i in range(60)
    ]  # fmt: skip
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(r) + "\n" for r in records), "utf-8")
    app = typer.Typer()
    app.command()(read)
    asked = [str(log), "--out", str(tmp_path / "half"), "--text", "--sessions", "--sample", "50%"]
    said = CliRunner().invoke(app, asked, env={"COLUMNS": "100"})
    assert said.exit_code == 0, said.output
    assert "Sampled: rows, each standing for 2 times its weight" in said.stdout
    half = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    part = Traffic.open(tmp_path / "half")
    assert 0 < len(part) < 60
    assert set(part.frame("weight")["weight"]) == {2.0}
    assert half["total"]["value"] == half["coverage"][0]["usd"] == 2 * len(part) * 100_000 * 1.25e-6
    assert half["samples"][0]["rows_drawn"] == len(part)
