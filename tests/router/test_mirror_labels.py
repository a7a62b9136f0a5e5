"""From a real LiteLLM router to labels: what production asked in the background is read by ``labels ingest`` as pairs and graded."""

from __future__ import annotations

import asyncio
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.upstream import ANSWER, upstream

from planner.errors import InputError
from planner.labels import Answers, Labels, grade, grader, ingest_labels
from planner.labels.mirrored import mirror_files, mirrored_work
from planner.labels.work import ask_id
from planner.prices import PriceBook
from planner.router.mirror import Mirror, Today
from planner.router.mirror_budget import Rates
from planner.traffic import read
from planner.units import PUSD_PER_USD

FUNCTION = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
THEIRS = {
    "choices": [{"message": {"content": "something else"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3},
}
ASKED = (
    ("how many words", {}),
    ("and with tools [tool]", {"tools": [FUNCTION]}),
    ("and a failure [status=500]", {}),
    ("and a refusal [content_filter]", {}),
    ("and a long one", {"stream": True, "n": 3, "user": "u-1", "max_tokens": 50}),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a mirror keeps of five requests over a real router with retries, a fallback and a cache; what upstream and loggers saw."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LITELLM_LOCAL_MODEL_COST_MAP", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"):
            patch.setenv(name, "True")  # no look at the network
        import litellm
    from litellm.integrations.custom_logger import CustomLogger

    class Payloads(CustomLogger):
        """Keeps what LiteLLM logs."""

        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Any] = []

        async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
            """Keep one."""
            self.seen.append(kwargs["standard_logging_object"])

    payloads, state = Payloads(), tmp_path_factory.mktemp("state")
    with upstream() as (url, seen), pytest.MonkeyPatch.context() as patch:
        patch.setattr(litellm, "callbacks", [payloads])
        where = {"api_base": f"{url}/v1", "api_key": "x"}
        models = [{"model_name": n, "litellm_params": {"model": f"openai/{n}", **where}} for n in ("gpt-5.4-mini", "gpt-5.4")]
        retried = {"num_retries": 3, "retry_after": 0, "fallbacks": [{"gpt-5.4-mini": ["gpt-5.4"]}], "disable_cooldowns": True}
        call = litellm.Router(model_list=models, **retried).acompletion

        async def run() -> None:
            for number, (text, beside) in enumerate(ASKED):
                mirror = Mirror(state)  # no rest between them
                body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}], **beside}
                today = Today(f"r-{number}", "gpt-5.4", THEIRS, 700.0, 0.002, "openai", "s-1", None)
                await mirror.answer(call, body, "chat", "gpt-5.4-mini", 5.0, Rates(0.75, 4.5), today)
            await asyncio.sleep(1.0)  # LiteLLM logs later

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pydantic")  # LiteLLM's own, of a module that it imports when first needed
            asyncio.run(run())
    return {"state": state, "seen": seen, "payloads": payloads.seen}


def test_each_is_asked_once_and_nobody_else(made: dict[str, Any]) -> None:
    """A failure is not retried, no fallback answers, nothing is streamed, and no second call follows a model's calling a function."""
    assert [body["messages"][-1]["content"] for body in made["seen"]] == [text for text, _ in ASKED]
    assert {body["model"] for body in made["seen"]} == {"gpt-5.4-mini"}
    assert not any(body.get("stream") or body.get("user") or body.get("n") for body in made["seen"])
    assert [body["max_completion_tokens"] for body in made["seen"]] == [4_096] * 4 + [50]


def test_our_own_log_reader_takes_them_for_work_and_not_for_traffic(made: dict[str, Any], tmp_path: Path) -> None:
    """In the gateway's log a background answer is overhead: it is neither demand nor labelled again."""
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(p, default=str) + "\n" for p in made["payloads"]), "utf-8")
    assert read(log, out=tmp_path / "traffic", text=True).frame("purpose")["purpose"].tolist() == ["overhead"] * 3


def test_the_file_becomes_pairs_and_labels(made: dict[str, Any], tmp_path: Path) -> None:
    """Both answers to each request are rows of one item; failures are kept; graded, they are labels of both models."""
    answers = ingest_labels(made["state"] / "mirror", book=PriceBook.load())
    rows = answers.rows.set_index(["request_id", "model"])
    assert len(answers) == 5
    assert answers.meta["results"]["aside"] == {}
    theirs, ours = rows.xs("gpt-5.4", level="model"), rows.xs("gpt-5.4-mini", level="model")
    assert theirs["response"].tolist() == ["something else"] * 5
    assert (set(theirs["source"]), set(theirs["cost_usd"]), set(theirs["latency_ms"])) == ({"log"}, {0.002}, {700.0})
    assert ours["status"].tolist() == ["ok", "ok", "transport", "content", "ok"]
    assert ours.loc["r-0", "response"] == ANSWER
    assert "look_up" in ours.loc["r-1", "response"]
    tokens = [len(ASKED[0][0].split()), len(ANSWER.split())]
    assert [ours.loc["r-0", "input_tokens"], ours.loc["r-0", "output_tokens"]] == tokens
    assert ours.loc["r-0", "paid_usd"] == pytest.approx((0.75 * tokens[0] + 4.5 * tokens[1]) / 1e6, abs=1e-12)
    assert ours.loc["r-0", "evidence"] == "measured"
    assert ours.loc["r-2", "evidence"] == "assumed"
    day = json.loads(next((made["state"] / "mirror").glob("????-??-??.json")).read_text("utf-8"))
    assert ours["paid_usd"].sum() == pytest.approx(day["pusd"]["chat"] / PUSD_PER_USD)
    items = answers.items.set_index("request_id")
    assert items["has_tools"].tolist() == [False, True, False, False, False]
    assert json.loads(items.loc["r-4", "messages"]) == [{"role": "user", "content": "and a long one"}]
    assert set(items["session_id"]) == {"s-1"}

    answers.save(tmp_path / "answers")
    right = {f"r-{i}": ANSWER for i in range(5)}
    graded = grade(Answers.open(tmp_path / "answers"), grader("exact"), references=right)
    graded.save(tmp_path / "labels")
    labels = Labels.open(tmp_path / "labels")
    np.testing.assert_array_equal(labels.quality(("gpt-5.4", "gpt-5.4-mini")), [[0, 1], [0, 0], [0, np.nan], [0, np.nan], [0, 1]])
    assert graded.ungraded["reason"].tolist() == ["transport", "content"]


def test_damaged_and_foreign_lines_are_counted(made: dict[str, Any], tmp_path: Path) -> None:
    """A torn line, one of another kind and one without its question are set aside; a file of such lines alone is refused."""
    (file,) = (made["state"] / "mirror").glob("answers-*.jsonl")
    whole = file.read_text("utf-8").splitlines()
    bare = {k: v for k, v in json.loads(whole[0]).items() if k != "request"} | {"ask": "f" * 32}
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "answers-2026-01-01.jsonl").write_text("\n".join([whole[0], whole[1][:50], "{}", json.dumps(bare), whole[0]]) + "\n", "utf-8")
    answers = ingest_labels(folder, book=PriceBook.load())
    assert len(answers) == 1
    assert answers.meta["results"]["aside"] == {"not a line of a journal or of batch results": 2, "an id that this work never asked": 1}
    (folder / "answers-2026-01-01.jsonl").write_text("{}\n", "utf-8")
    with pytest.raises(InputError, match="no answers of a mirror"):
        ingest_labels(folder, book=PriceBook.load())


def test_asks_are_called_as_the_work_of_labels_calls_them(made: dict[str, Any]) -> None:
    """The bare runtime makes the same names for asks as planner.labels does."""
    work = mirrored_work(mirror_files(made["state"] / "mirror"))
    assert work.asks["ask_id"].tolist() == [ask_id(f"r-{i}", "gpt-5.4-mini") for i in range(5)]
