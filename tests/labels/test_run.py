"""Candidates answer through a real gateway: never beyond the budget, never twice for one answer, whatever happens in between."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.asked import CANDIDATES, work_of
from support.gateway import Gateway, gateway
from support.upstream import ANSWER, serving, upstream

from planner.errors import InputError
from planner.labels import Work
from planner.labels.budget import Budget
from planner.labels.client import endpoint, post
from planner.labels.ingest import ingest_labels
from planner.labels.journal import Journal, lines, past
from planner.labels.run import run_labels
from planner.prices import PriceBook

PLANNER = Path(sys.executable).with_name("planner")


@dataclass(frozen=True)
class Real:
    """A LiteLLM proxy that serves both candidates, and the bodies that have reached the upstream behind it."""

    gate: Gateway
    seen: list[dict[str, Any]]

    def ask(self, work: Work, book: PriceBook, **options: Any) -> Any:
        """Run ``work`` through the proxy."""
        return run_labels(work, self.gate.url, api_key=self.gate.key, book=book, **{"wait_s": 0.05, **options})


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """Start the proxy once."""
    with upstream() as (url, seen):
        models = [
            {"model_name": m, "litellm_params": {"model": f"openai/{m}", "api_key": "x", "api_base": f"{url}/v1"}} for m in CANDIDATES
        ]
        nowhere = {"model": "openai/shaky", "api_key": "x", "api_base": "http://127.0.0.1:9/v1"}
        models.append({"model_name": "shaky", "litellm_params": nowhere})
        settings = {"disable_cooldowns": True, "num_retries": 0, "fallbacks": [{"shaky": [CANDIDATES[0]]}]}
        config = {"model_list": models, "router_settings": settings}
        with gateway(tmp_path_factory.mktemp("gateway"), config) as gate:
            yield Real(gate, seen)


def _ends(work: Work) -> list[dict[str, Any]]:
    assert work.folder is not None
    return [v for _, _, v in lines(work.folder / "journal.jsonl") if v and v["event"] == "end"]


def test_every_ask_is_answered_once(real: Real, tmp_path: Path, book: PriceBook) -> None:
    """What was asked is answered by the model asked, with its usage, and a second run asks nothing."""
    work = work_of(tmp_path, [f"question {i}" for i in range(10)], book)
    before = len(real.seen)
    ran = real.ask(work, book)
    sent = real.seen[before:]
    assert (ran.complete, ran.stopped, len(sent)) == (True, "", 20)
    assert Counter((b["model"], b["messages"][0]["content"]) for b in sent).most_common(1)[0][1] == 1
    assert {b["max_completion_tokens"] for b in sent} == {100}
    assert not any("tools" in b for b in sent)
    assert real.ask(work, book).text == ran.text
    assert len(real.seen) == before + 20
    answers = ingest_labels(work, book=book)
    rows = answers.rows[answers.rows["source"] == "run"]
    assert (rows["response"] == ANSWER).all()
    assert (rows["latency_ms"] > 0).all()
    rates = {m: book.quote(m, "openai").usd_per_mtok for m in CANDIDATES}
    expected = [(2 * rates[m]["input_tokens"] + 5 * rates[m]["output_tokens"]) / 1e6 for m in rows["model"]]
    np.testing.assert_allclose(rows["cost_usd"].astype(float), expected, rtol=1e-9)
    assert ran.spent_usd == pytest.approx(sum(expected))


def test_failures_are_kept_apart_and_retried_where_that_helps(real: Real, tmp_path: Path, book: PriceBook) -> None:
    """A rate limit is tried again and answered; what fails for good is one row of its kind; everything asked is accounted for."""
    texts = [
        "[status=429] [fail_first=3] busy",
        "[status=500] down",
        "[status=400] bad",
        "[content_filter] unsafe",
        "plain",
        "[status=429] never",
    ]
    work = work_of(tmp_path, texts, book)
    before = len(real.seen)
    ran = real.ask(work, book, retries=2)
    tries = Counter(b["messages"][0]["content"].split("]")[-1].strip() for b in real.seen[before:])
    assert tries["down"] == tries["never"] == 2 * 3
    assert tries["bad"] == tries["unsafe"] == tries["plain"] == 2
    assert tries["busy"] == 2 + 3
    assert ran.table[["ok", "transport", "rate_limit", "content", "validation", "open"]].sum().tolist() == [4, 2, 2, 2, 2, 0]
    answers = ingest_labels(work, book=book)
    status = dict(zip(zip(answers.rows["request_id"], answers.rows["model"], strict=True), answers.rows["status"], strict=True))
    assert {status[f"r{i}", m] for i, kind in ((0, "ok"), (4, "ok")) for m in CANDIDATES} == {"ok"}
    assert [status["r1", m] for m in CANDIDATES] == ["transport"] * 2
    assert [status["r2", m] for m in CANDIDATES] == ["validation"] * 2
    assert [status["r3", m] for m in CANDIDATES] == ["content"] * 2
    assert [status["r5", m] for m in CANDIDATES] == ["rate_limit"] * 2
    assert answers.rows.loc[answers.rows["status"] != "ok", "error_class"].notna().all()
    assert answers.table["asked"].sum() == 3 * len(texts)
    again = len(real.seen)
    real.ask(work, book, retries=0)
    assert len(real.seen) - again == 4  # what may succeed later is asked again, what never will is not


def test_the_budget_holds_at_any_concurrency(real: Real, tmp_path: Path, book: PriceBook) -> None:
    """With eight calls at a time the run stops before a call that could exceed the budget; a larger budget goes on."""
    work = work_of(tmp_path, [f"question {i}" for i in range(60)], book)
    most, each = int(work.asks["at_most_pusd"].max()), 24_000_000  # of the dearer candidate; two words in, five out
    budget = (most + 30 * each) / 1e12
    before = len(real.seen)
    ran = real.ask(work, book, budget_usd=budget)
    assert ran.stopped == "the budget is spent"
    assert not ran.complete
    ends = _ends(work)
    assert len(real.seen) - before == len(ends) < len(work.asks)
    assert 0.2 * budget < ran.spent_usd == sum(e["cost_pusd"] for e in ends) / 1e12 <= budget
    held = spent = 0
    for _, _, line in lines(tmp_path / "work" / "journal.jsonl"):
        assert line is not None
        if line["event"] == "start":
            held += line["at_most_pusd"]
            assert held + spent <= budget * 1e12  # whatever the calls under way had cost
        else:
            held -= next(a for a in work.asks.itertuples() if a.ask_id == line["ask"]).at_most_pusd
            spent += line["cost_pusd"]
    with pytest.raises(InputError, match=r"the most that the next answer may cost\. Raise the budget"):
        real.ask(work, book, budget_usd=ran.spent_usd + 1e-9)
    done = real.ask(work, book, budget_usd=1.0)
    assert done.complete
    assert len(real.seen) - before == len(work.asks)  # no answer was paid for twice


def _command(real: Real, folder: Path, *more: str) -> subprocess.Popen[str]:
    arguments = ["labels", "run", str(folder), "--base-url", real.gate.url, "--api-key-env", "KEY", "--concurrency", "3", "--quiet", *more]
    environment = {**os.environ, "KEY": real.gate.key, "PYTHONWARNINGS": "error"}
    return subprocess.Popen([str(PLANNER), *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _wait_for(work: Work, ends: int) -> None:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        if len(_ends(work)) >= ends:
            return
        time.sleep(0.005)
    raise AssertionError("the run answered too little")


def test_a_killed_run_goes_on_without_paying_twice(real: Real, tmp_path: Path, book: PriceBook) -> None:
    """After kill -9 in the middle, what was answered is not asked again, and calls that were cut off count as paid in full."""
    work = work_of(tmp_path, [f"question {i}" for i in range(45)], book)
    before = len(real.seen)
    with _command(real, tmp_path / "work") as process:
        _wait_for(work, 10)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    stopped = past(tmp_path / "work" / "journal.jsonl")
    assert 10 <= len(stopped.ended) < len(work.asks)
    assert stopped.lost <= 3
    assert stopped.spent_pusd >= sum(e["cost_pusd"] for e in _ends(work)) + stopped.lost
    with (tmp_path / "work" / "journal.jsonl").open("ab") as file:
        file.write(b'{"event":"end","call":"torn in the mid')
    answered = {e["ask"] for e in _ends(work)}
    done = real.ask(work, book)
    assert done.complete
    assert done.lost == stopped.lost
    counts = Counter(e["ask"] for e in _ends(work))
    assert set(counts) == set(work.asks["ask_id"])
    assert set(counts.values()) == {1}
    assert answered <= set(counts)
    assert len(real.seen) - before <= len(work.asks) + stopped.lost
    answers = ingest_labels(work, book=book)
    assert (answers.rows["status"] == "ok").all()
    assert answers.meta["results"]["aside"] == {"not a line of a journal or of batch results": 1}


def test_ctrl_c_leaves_a_run_that_goes_on(real: Real, tmp_path: Path, book: PriceBook) -> None:
    """Ctrl-C waits for the calls under way, leaves with 130, and loses none of them."""
    work = work_of(tmp_path, [f"question {i}" for i in range(50)], book)
    with _command(real, tmp_path / "work") as process:
        _wait_for(work, 10)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "The same command goes on" in said
    assert "Traceback" not in said
    stopped = past(tmp_path / "work" / "journal.jsonl")
    assert (stopped.lost, stopped.unreadable) == (0, 0)
    assert 10 <= len(stopped.ended) < len(work.asks)


def test_one_run_at_a_time(real: Real, tmp_path: Path, book: PriceBook) -> None:
    """Two runs over one folder would pay twice: the second is refused."""
    work = work_of(tmp_path, ["question"], book)
    with Journal(tmp_path / "work" / "journal.jsonl"), pytest.raises(InputError, match="one run at a time"):
        real.ask(work, book)


def test_a_refused_key_stops_the_run_at_once(tmp_path: Path, book: PriceBook) -> None:
    """With a wrong key every call would fail: a handful is made, the sentence says why, and the right key asks them all."""
    work = work_of(tmp_path, [f"question {i}" for i in range(50)], book)

    def answer(handler: Any, n: int) -> None:
        right = handler.headers["Authorization"] == "Bearer right"
        _say(
            handler,
            200 if right else 401,
            _completion() if right else {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}},
        )

    with _server(answer) as (url, seen):
        ran = run_labels(work, url, api_key="wrong", book=book, concurrency=2)
        assert "refuses the key" in ran.stopped
        assert len(seen) <= 3
        assert ran.spent_usd == 0
        assert run_labels(work, url, api_key="right", book=book).table["ok"].sum() == 100


def test_a_gateway_that_fails_from_the_start_is_asked_ten_times(real: Real, tmp_path: Path, book: PriceBook) -> None:
    """A proxy that does not know the key answers 400 without a database: the run ends, and what failed is asked again later."""
    work = work_of(tmp_path, [f"question {i}" for i in range(50)], book)
    ran = run_labels(work, real.gate.url, api_key="sk-wrong", book=book, concurrency=2, wait_s=0.05)
    assert ran.stopped
    assert 10 <= len(_ends(work)) <= 13
    assert real.ask(work, book).table["ok"].sum() == 100


def test_a_gateway_that_falls_back_is_stopped(real: Real, tmp_path: Path, book: PriceBook) -> None:
    """An answer that the proxy fetched from another model is no answer of the one asked, nor may that one's provider be allowed."""
    work = work_of(tmp_path, [f"question {i}" for i in range(20)], book)
    ran = real.ask(work, book, concurrency=1, names=dict.fromkeys(CANDIDATES, "shaky"))
    assert "switch its fallbacks off" in ran.stopped
    assert ran.table["ok"].sum() == 0
    assert [e["error_class"] for e in _ends(work)] == ["answered by a fallback"]
    assert ran.spent_usd == _ends(work)[0]["cost_pusd"] / 1e12 > 0


def test_nobody_there_stops_the_run_at_once(tmp_path: Path, book: PriceBook) -> None:
    """Where nothing listens, the first call says so, and nothing counts as paid."""
    work = work_of(tmp_path, [f"question {i}" for i in range(50)], book)
    ran = run_labels(work, "http://127.0.0.1:9/v1", book=book)
    assert "nothing answers at" in ran.stopped
    assert (ran.spent_usd, ran.lost) == (0, 0)


def test_a_server_that_keeps_failing_is_given_up_by_the_answers_it_owes(tmp_path: Path, book: PriceBook) -> None:
    """Ten answers in a row that no try got end the run, and the sentence counts answers, not calls."""
    work = work_of(tmp_path, [f"question {i}" for i in range(20)], book)
    with _server(lambda handler, _: _say(handler, 500, {"error": {"message": "down", "code": "down"}})) as (url, seen):
        ran = run_labels(work, url, book=book, concurrency=1, retries=2, wait_s=0.001)
    assert ran.stopped == "the last 10 answers asked for failed, however often they were tried, now with down"
    assert (ran.table["transport"].sum(), len(seen)) == (11, 31)


def test_a_progress_that_fails_leaves_a_whole_journal(tmp_path: Path, book: PriceBook) -> None:
    """What ``progress`` raises is raised once the calls under way are in the journal; none is made after it."""
    work = work_of(tmp_path, [f"question {i}" for i in range(20)], book)

    def answer(handler: Any, n: int) -> None:
        time.sleep(0.4)
        _say(handler, 200, _completion())

    def tell(now: int, total: int) -> None:
        raise OSError(f"a bar that is gone at {now} of {total}")

    with _server(answer) as (url, seen):
        with pytest.raises(OSError, match="a bar that is gone at 0 of 40"):
            run_labels(work, url, book=book, concurrency=3, progress=tell)
        done = past(tmp_path / "work" / "journal.jsonl")
        assert (len(done.ended), done.lost, len(seen)) == (3, 0, 3)


@contextmanager
def _server(answer: Any) -> Iterator[tuple[str, list[Any]]]:
    """Serve ``answer(handler, n)`` for the n-th call; yield the URL and the headers received."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append({**self.headers, "body": body})
            answer(self, len(seen))

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        yield f"{url}/v1", seen


def _say(handler: Any, status: int, value: Any, **headers: str) -> None:
    payload = json.dumps(value).encode()
    handler.send_response(status)
    for name, text in {"Content-Length": str(len(payload)), **headers}.items():
        handler.send_header(name.replace("_", "-"), text)
    handler.end_headers()
    handler.wfile.write(payload)


def _completion(words: int = 5) -> dict[str, Any]:
    message = {"role": "assistant", "content": "yes"}
    return {"choices": [{"message": message, "finish_reason": "length"}], "usage": {"prompt_tokens": 2, "completion_tokens": words}}


def test_retry_after_and_the_idempotency_key(tmp_path: Path, book: PriceBook) -> None:
    """The wait that is asked for is kept, and every try of an ask carries the same key, so that a gateway can recognise it."""
    work = work_of(tmp_path, ["question"], book)

    def answer(handler: Any, n: int) -> None:
        _say(handler, *((429, {"error": {"message": "slow", "code": "429"}}) if n <= 2 else (200, _completion())), Retry_After="0.4")

    with _server(answer) as (url, seen):
        start = time.monotonic()
        ran = run_labels(work, url, book=book, concurrency=1, wait_s=30)
        took_s = time.monotonic() - start
    assert ran.complete
    assert 0.8 <= took_s < 10
    keys = [s["Idempotency-Key"] for s in seen]
    assert keys == [*[work.asks["ask_id"].iloc[0]] * 3, work.asks["ask_id"].iloc[1]]


def test_an_answer_that_never_came_counts_as_paid(tmp_path: Path, book: PriceBook) -> None:
    """A call that was sent and lost may have been answered and billed: the most it may cost is spent, and that is said as assumed."""
    work = work_of(tmp_path, ["question"], book)

    def answer(handler: Any, n: int) -> None:
        if n == 1:
            time.sleep(0.6)  # longer than the client waits
        _say(handler, 200, _completion())

    with _server(answer) as (url, _):
        ran = run_labels(work, url, book=book, concurrency=1, wait_s=0.01, timeout_s=0.3)
    assert ran.complete
    first = _ends(work)[0]
    assert (first["status"], first["cost_pusd"], first["evidence"]) == ("transport", int(work.asks["at_most_pusd"].iloc[0]), "assumed")
    assert ran.spent_usd > first["cost_pusd"] / 1e12


def test_an_endpoint_that_ignores_the_limit_is_stopped(tmp_path: Path, book: PriceBook) -> None:
    """An answer dearer than its limit allows breaks the promise of the budget: the run ends and says so."""
    work = work_of(tmp_path, [f"question {i}" for i in range(9)], book)
    with _server(lambda handler, _: _say(handler, 200, _completion(50_000))) as (url, seen):
        ran = run_labels(work, url, book=book, concurrency=1)
    assert "does not keep to it" in ran.stopped
    assert len(seen) == 1


def test_no_redirect_is_followed(tmp_path: Path, book: PriceBook) -> None:
    """A redirect would carry prompt and key to another host: it is a failure."""

    def away(handler: Any, n: int) -> None:
        _say(handler, 302, {}, Location="http://127.0.0.1:9/v1/chat/completions")

    with _server(away) as (url, _):
        reply = post(endpoint(url, "sk-secret", 5), {"model": "m"}, "k")
    assert (reply.status, reply.http, reply.sent) == ("transport", 302, True)
    assert "sk-secret" not in repr(endpoint(url, "sk-secret", 5))


@pytest.mark.parametrize("key", ["sk-SECRET\n", " sk-SECRET\r\n"])
def test_a_key_from_a_file_is_sent_without_its_newline(key: str) -> None:
    """Secret files end in a newline, which no header takes: what is sent is the key."""
    with _server(lambda handler, _: _say(handler, 200, _completion())) as (url, seen):
        assert post(endpoint(url, key, 5), {"model": "m"}, "k").status == "ok"
    assert seen[0]["Authorization"] == "Bearer sk-SECRET"


@pytest.mark.parametrize("key", ["sk-SECRET\nX-More: 1", "sk-SECRET…", "sk SECRET"])
def test_a_key_that_cannot_be_sent_is_refused_unseen(key: str) -> None:
    """A key that no header carries is one sentence, and the sentence does not show it."""
    with pytest.raises(InputError, match="a key with characters that no header carries") as refused:
        endpoint("http://localhost:4000", key, 5)
    assert "SECRET" not in str(refused.value)


def test_a_password_in_the_url_is_sent_and_never_shown(tmp_path: Path, book: PriceBook) -> None:
    """``user:password@`` becomes basic authorisation; neither the URL, nor a run's last words, nor a refusal holds it."""
    with _server(lambda handler, _: _say(handler, 200, _completion())) as (url, seen):
        where = endpoint(url.replace("//", "//me:p%40ss@"), None, 5)
        assert post(where, {"model": "m"}, "k").status == "ok"
    assert seen[0]["Authorization"] == f"Basic {base64.b64encode(b'me:p@ss').decode()}"
    assert "p%40ss" not in f"{where} {where.url}"
    ran = run_labels(work_of(tmp_path, ["question"], book), "http://me:pa55@127.0.0.1:9/v1", book=book)
    assert "nothing answers at http://127.0.0.1:9/v1/chat/completions" in ran.stopped
    for wrong in ("me:pa55@host", "http://me:pa55@host/v1?key=pa55", "http://me:pa55@host:port/v1", "http://me:pa55@[host/v1"):
        with pytest.raises(InputError, match="the URL of an OpenAI-compatible endpoint") as refused:
            endpoint(wrong, None, 5)
        assert "pa55" not in str(refused.value)
    with pytest.raises(InputError, match="one of the two"):
        endpoint("http://me:pa55@host/v1", "sk", 5)


def test_names_and_formats_are_sent_as_the_endpoint_knows_them(tmp_path: Path, book: PriceBook) -> None:
    """A model is called by the endpoint's name, the limit by the field it knows; JSON is asked for, and cut answers are marked."""
    work = work_of(tmp_path, ["question"], book, response_format="json_object")
    with _server(lambda handler, _: _say(handler, 200, _completion())) as (url, seen):
        run_labels(work, url, book=book, names={CANDIDATES[0]: "our-small"}, limit_field="max_tokens")
    bodies = [s["body"] for s in seen]
    assert {b["model"] for b in bodies} == {"our-small", CANDIDATES[1]}
    assert all(b["response_format"] == {"type": "json_object"} and b["max_tokens"] == 100 for b in bodies)
    answers = ingest_labels(work, book=book)
    assert answers.table["cut"].tolist() == [0, 1, 1]
    assert "2 of the answers are cut" in answers.text


def test_a_budget_is_never_exceeded_by_threads() -> None:
    """Whatever calls cost up to what was set aside, and in whatever order they end, the sum stays within the limit."""
    budget = Budget(10_000)
    most = []

    def spend(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while budget.reserve(reserved := int(rng.integers(1, 120))):
            most.append(10_000 - budget.left_pusd)
            time.sleep(0.0002 * rng.random())
            budget.settle(reserved, int(rng.integers(0, reserved + 1)))

    threads = [threading.Thread(target=spend, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert max(most) <= 10_000
    assert 10_000 - 120 <= budget.spent_pusd <= 10_000
    assert budget.closed


def test_bad_arguments_are_one_sentence(tmp_path: Path, book: PriceBook) -> None:
    """Wrong URLs, budgets and numbers, and work that nobody should ask, are refused before any call."""
    work = work_of(tmp_path, ["question"], book)
    with pytest.raises(InputError, match=r"for example http://localhost:4000/v1|For example"):
        run_labels(work, "localhost:4000", book=book)
    with pytest.raises(InputError, match="1 to 256 calls"):
        run_labels(work, "http://127.0.0.1:9", book=book, concurrency=0)
    with pytest.raises(InputError, match="dollars above 0"):
        run_labels(work, "http://127.0.0.1:9", book=book, budget_usd=-1)
    with pytest.raises(InputError, match="max_tokens"):
        run_labels(work, "http://127.0.0.1:9", book=book, limit_field="n_predict")
    with pytest.raises(InputError, match="Save it first"):
        run_labels(Work(work.items, work.asks, work.logged, work.meta), "http://127.0.0.1:9", book=book)
    tools = Work(work.items.assign(has_tools=True), work.asks, work.logged, work.meta, work.folder)
    with pytest.raises(InputError, match="or with tools"):
        run_labels(tools, "http://127.0.0.1:9", book=book)
