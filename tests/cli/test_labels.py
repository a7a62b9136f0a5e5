"""``planner labels``: from a log to answers, run as a user runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.asked import mixed_log
from support.upstream import upstream

from planner.traffic import App, Apps

VERBS = ("labels", "labels sample", "labels run", "labels batch", "labels ingest")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small mixed log."""
    return mixed_log(tmp_path_factory.mktemp("log") / "log", n=200).folder


def _sampled(planner: Callable[..., Any], log: Path, out: Path, *more: str, cwd: Path | None = None) -> Any:
    models = ("--candidate", "gpt-5.4-mini", "--candidate", "gpt-5.4-nano")
    return planner("labels", "sample", log, *models, "--budget", "0.05", "--least", "3", "--out", out, *more, cwd=cwd)


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_examples(verb: str, planner: Callable[..., Any]) -> None:
    """``--help`` of the group and of every verb shows an example that starts with it."""
    ran = planner(*verb.split(), "--help")
    assert ran.code == 0
    assert f"planner {verb}" in ran.out.split("Examples")[1]


def test_ingest_says_how_a_mirror_is_read(planner: Callable[..., Any]) -> None:
    """The help of ``labels ingest`` shows the folder in which production keeps what it mirrored."""
    assert "planner labels ingest production/state/mirror --out answers" in planner("labels", "ingest", "--help").out


def test_from_a_log_to_answers(planner: Callable[..., Any], log: Path, tmp_path: Path) -> None:
    """Sample, run, batch and ingest hand on to each other, every count and price adds up, and the next step is named."""
    work, answers = tmp_path / "work", tmp_path / "answers"
    sampled = _sampled(planner, log, work, "--json").json
    assert sum(row["requests"] for row in sampled["account"]) == 200
    assert sampled["price_usd"] <= 0.05
    chosen = sum(row["items"] for row in sampled["apps"])
    assert sampled["next"] == f"planner labels run {work} --base-url URL --budget 0.05"
    batches = planner("labels", "batch", work, "--format", "openai", "--out", tmp_path / "batches", "--json").json
    assert sum(row["requests"] for row in batches["files"]) == 2 * chosen
    with upstream() as (url, seen):
        ran = planner("labels", "run", work, "--base-url", url, "--json").json
        assert ran["complete"] is True
        assert len(seen) == 2 * chosen
        again = planner("labels", "run", work, "--base-url", url)
        assert (again.code, len(seen)) == (0, 2 * chosen)
    assert f"Next: planner labels ingest {work}" in again.out
    said = planner("labels", "ingest", work, "--out", answers, "--json").json
    assert sum(row["answered"] for row in said["models"]) == 3 * chosen
    assert sum(row["paid_usd"] for row in said["models"]) == pytest.approx(ran["spent_usd"])
    assert {f.name for f in answers.iterdir()} == {"answers.json", "items.parquet", "answers.parquet"}


def test_a_person_reads_it_within_the_terminal(planner: Callable[..., Any], log: Path, tmp_path: Path) -> None:
    """Prices carry their evidence, exclusions their share of spend, and no line is wider than 100 columns."""
    ran = _sampled(planner, log, Path("work"), cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert "(estimated: answers as long as today's)" in " ".join(ran.out.split())
    assert "the prompt was cut by the logger" in ran.out
    assert "a floor of 2 points cannot be certified of any router" in " ".join(ran.out.split())
    batched = planner("labels", "batch", "work", "--format", "openai", "--out", "batches", cwd=tmp_path)
    assert "at batch rates (estimated" in " ".join(batched.out.split())
    assert max(map(len, (ran.out + batched.out).splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "absent", "--base-url", "http://127.0.0.1:9", "--api-key-env", "NO_SUCH_KEY"), "export NO_SUCH_KEY"),
        (("batch", "absent", "--format", "azure", "--out", "b"), "one of openai, anthropic"),
        (("ingest", "absent", "--out", "a"), "planner labels sample LOG"),
    ],
)
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], said: str, planner: Callable[..., Any], tmp_path: Path) -> None:
    """Wrong folders, formats and keys leave with 2 and the next step."""
    ran = planner("labels", *arguments, cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_what_is_stated_is_kept_to(planner: Callable[..., Any], log: Path, tmp_path: Path) -> None:
    """apps.yaml decides who may see prompts; a schema file opens an app's structured answers; nobody listening leaves with 2."""
    names = ("big", "middle", "small", "acting")
    Apps({n: App(allowed_providers=("mistral",)) for n in names}).save(tmp_path / "apps.yaml")
    refused = _sampled(planner, log, tmp_path / "none", "--apps", str(tmp_path / "apps.yaml"))
    assert refused.code == 2
    assert "allowed_providers" in refused.err
    (tmp_path / "schema.json").write_text('{"type": "object"}')
    opened = _sampled(planner, log, tmp_path / "work", *(f"--schema={n}={tmp_path / 'schema.json'}" for n in names), "--json").json
    assert not any(row["what"].startswith("its JSON schema") for row in opened["account"])
    ran = planner("labels", "run", tmp_path / "work", "--base-url", "http://127.0.0.1:9")
    assert ran.code == 2
    assert "Stopped: nothing answers at http://127.0.0.1:9/v1" in " ".join(ran.out.split())
