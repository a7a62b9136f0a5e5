"""The written configurations on a real LiteLLM proxy: it starts on each, retries and falls back as planned, and routes as said here."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.exported import Office, office
from support.faulty import SLOW_S, faulty
from support.gateway import Gateway, gateway
from support.small import MODELS

from planner.bundle import export
from planner.bundle.gateway import BUNDLE, ROLLOUT, GatewayParts, write_gateway
from planner.bundle.gateway_log import gateway_log
from planner.bundle.nocode import AUTO, fit_nocode
from planner.bundle.nocode_litellm import routed
from planner.policies import ExactCache, Fallback, Plan, Retry, Route, Timeout
from planner.prices import PriceBook
from planner.router import Router
from planner.router.rollout import read, write

BIG, MIDDLE, SMALL = MODELS
RETRY = Retry({"transport": 2, "rate_limit": 3, "content": 1}, base_ms=10, most_ms=40, jitter=0)
LEVERS = (RETRY, Fallback((MIDDLE,)), Timeout(1_000), ExactCache(ttl_s=600))


@dataclass(frozen=True)
class Exported:
    """An exported folder, and what it was exported from."""

    folder: Path
    office: Office
    router: Router


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Export the office's router with levers around it, as the shell does."""
    found = office(tmp_path_factory.mktemp("office"))
    router, folder = found.training.router, tmp_path_factory.mktemp("exported") / "production"
    plan = Plan((Route(router), *LEVERS), "careful")
    export(router, folder / BUNDLE, training=found.training, plan=plan)
    nocode = fit_nocode(found.training, router, found.labels.items["messages"].tolist())
    write_gateway(folder, router, GatewayParts(plan, PriceBook.load(), gateway_log(found.traffic), nocode))
    return Exported(folder, found, router)


class Asking:
    """A client of a running proxy that sees what reached the upstream."""

    def __init__(self, proxy: Gateway, seen: list[dict[str, Any]]) -> None:
        self.proxy, self.seen, self.asked = proxy, seen, 0

    def __call__(self, model: str, text: str, **body: Any) -> tuple[int, list[str]]:
        """Ask once; return the status and the models called, in order. Every question is new, lest it be cached."""
        self.asked += 1
        return self.again(model, f"{text} (question {self.asked})", **body)

    def again(self, model: str, text: str, **body: Any) -> tuple[int, list[str]]:
        """Ask these very words."""
        before = len(self.seen)
        payload = {"model": model, "messages": [{"role": "user", "content": text}], **body}
        headers = {"Authorization": f"Bearer {self.proxy.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.proxy.url}/chat/completions", json.dumps(payload).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                response.read()
                status = response.status
        except urllib.error.HTTPError as error:
            with error:
                status = error.code
        return status, [b["model"] for b in self.seen[before:]]


@contextmanager
def running(exported: Exported, name: str, folder: Path, prepare: Callable[[Path], None] = lambda _: None) -> Iterator[Asking]:
    """Run a copy of the exported folder on configuration ``name``, as its README says, against an upstream on this machine."""
    shutil.copytree(exported.folder, folder)
    prepare(folder)
    config = yaml.safe_load((folder / name).read_text("utf-8"))
    with faulty() as upstream, pytest.MonkeyPatch.context() as patch:
        for variable, value in _exports(folder / "README.md").items():
            patch.setenv(variable, value)
        patch.setenv("OPENAI_API_KEY", "sk-nothing")
        patch.setenv("OPENAI_API_BASE", f"{upstream.url}/v1")
        with gateway(folder, config) as proxy:
            yield Asking(proxy, upstream.seen)


def _exports(readme: Path) -> dict[str, str]:
    """Return the variables that the README sets to a number."""
    lines = [line.strip().removeprefix("export ").split("=") for line in readme.read_text("utf-8").splitlines() if "    export " in line]
    return {name: value for name, value in lines if value.replace(".", "").isdigit()}


@pytest.fixture(scope="module")
def hooked(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """Run the configuration with the hook."""
    with running(exported, "config.yaml", tmp_path_factory.mktemp("hooked") / "production") as asking:
        yield asking


@pytest.fixture(scope="module")
def bare(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """Run an export without a plan, ``chat`` with everybody routed and ``desk`` in shadow."""
    folder = tmp_path_factory.mktemp("bare")
    write_gateway(
        shutil.copytree(exported.folder, folder / "exported"),
        exported.router,
        GatewayParts(Plan((Route(exported.router), RETRY)), PriceBook.load(), gateway_log(exported.office.traffic)),
    )

    def on(made: Path) -> None:
        rollout = read(made / ROLLOUT)
        write(made / ROLLOUT, replace(rollout, holdout=0.0, apps={**rollout.apps, "chat": replace(rollout.apps["chat"], mode="active")}))

    with running(replace(exported, folder=folder / "exported"), "config.yaml", folder / "production", on) as asking:
        yield asking


def test_the_hook_is_loaded_and_sends_as_asked(hooked: Asking) -> None:
    """The proxy starts on the written file with its hook, and in shadow every request goes to the model that was asked for."""
    assert hooked(BIG, "Summarise the letter") == (200, [BIG])
    assert hooked("assistant", "Summarise the letter") == (200, [BIG]), "the model behind the group that the log asks for"


@pytest.mark.parametrize(
    ("fault", "calls", "answered"),
    [
        ("429", 1 + 3, True),
        ("500", 1 + 2, True),
        ("502", 1 + 2, True),
        ("503", 1 + 2, True),
        ("401", 1, True),
        ("404", 1, True),
        ("422", 1, True),
        ("400", 1, False),
        ("content", 1 + 1, False),
        ("slow", 1, True),
    ],
)
def test_retries_and_fallbacks_are_those_of_the_plan(hooked: Asking, fault: str, calls: int, answered: bool) -> None:
    """Each kind of failure is tried again as often as the plan says, and then falls back where the plan, or the README, says so."""
    status, models = hooked(SMALL, f"{SMALL}={fault}")
    assert models == [SMALL] * calls + [MIDDLE] * answered
    assert (status == 200) is answered


def test_retries_multiply_with_fallbacks(hooked: Asking) -> None:
    """A fallback that fails is tried again as often as the first model, as the plan was simulated; the client sees the first failure."""
    status, models = hooked(SMALL, f"{SMALL}=429 {MIDDLE}=500")
    assert status == 429
    assert models == [SMALL] * 4 + [MIDDLE] * 3


def test_a_fallback_is_not_its_own(hooked: Asking) -> None:
    """A request for the fallback itself is tried again and then fails, as the plan was simulated: it names no other model to ask."""
    status, models = hooked(MIDDLE, f"{MIDDLE}=503")
    assert status == 503
    assert models == [MIDDLE] * 3


def test_what_is_too_long_goes_to_no_model_that_the_plan_does_not_name(hooked: Asking) -> None:
    """A prompt beyond a window is an error, untried again, where the plan's fallback has no larger one, though another model has."""
    assert hooked(SMALL, f"{SMALL}=context") == (400, [SMALL])
    assert hooked(BIG, f"{BIG}=context") == (400, [BIG])


@pytest.mark.parametrize("fault", ["500", "429", "context", "content", "400"])
def test_only_what_is_moved_comes_back(bare: Asking, exported: Exported, fault: str) -> None:
    """Exported without a plan, a request that was moved is answered by the model asked for; one that was not fails where it was asked."""
    moved = f"Summarise the {SMALL}={fault}"
    kept = f"Write a python function that sorts the parcel by garden and ticket and window {BIG}={fault}"
    decided = [exported.router.decide([{"role": "user", "content": text}], {"app": "chat"}).model for text in (moved, kept)]
    assert decided == [SMALL, BIG]
    status, models = bare.again(BIG, moved, metadata={"tags": ["app:chat"]})
    assert (status, [*dict.fromkeys(models)]) == (200, [SMALL, BIG])
    for app in ("desk", "nobody", "chat"):
        status, models = bare.again(BIG, kept, metadata={"tags": [f"app:{app}"]})
        assert ({*models}, status == 200) == ({BIG}, False), app
    assert not [body for body in bare.seen if "fallbacks" in body], "what is LiteLLM's goes to no provider"


def test_the_same_question_is_answered_once(hooked: Asking) -> None:
    """The exact cache of the plan serves the same words to the same model, and only those."""
    for _ in range(2):
        assert hooked.again(BIG, "Is it cached?")[0] == 200
    assert hooked.again(SMALL, "Is it cached?") == (200, [SMALL])
    asked = [b["model"] for b in hooked.seen if b["messages"][-1]["content"] == "Is it cached?"]
    assert asked == [BIG, SMALL]


def test_a_slow_answer_is_given_up(hooked: Asking) -> None:
    """The plan's timeout cuts a call off well before its answer would come."""
    start = time.monotonic()
    assert hooked(SMALL, f"{SMALL}=slow")[0] == 200
    assert time.monotonic() - start < SLOW_S


def test_without_code_it_routes_as_said_offline(exported: Exported, tmp_path: Path) -> None:
    """The proxy with LiteLLM's own heuristic sends every held-out request where LiteLLM's code, run here, said; more than one model."""
    config = yaml.safe_load((exported.folder / "config_nocode.yaml").read_text("utf-8"))
    problem, texts = exported.office.training.problem, exported.office.labels.items["messages"].tolist()
    talks = [json.loads(texts[i]) for i in problem.rows("judge")[:60]]
    said = routed(config["model_list"], AUTO, talks)
    with running(exported, "config_nocode.yaml", tmp_path / "production") as asking:
        found = [asking.again(AUTO, talk[0]["content"])[1] for talk in talks]
    assert found == [[model] for model in said]
    assert len({*said}) > 1


def test_the_classifier_routes_as_the_router_decides(exported: Exported, tmp_path: Path) -> None:
    """In LiteLLM's classifier slot, with everybody routed, each request goes to the model that ``Router.decide`` chooses."""

    def everybody(folder: Path) -> None:
        rollout = read(folder / ROLLOUT)
        apps = {name: replace(app, mode="active") for name, app in rollout.apps.items()}
        write(folder / ROLLOUT, replace(rollout, holdout=0.0, apps=apps))

    texts = [*exported.office.texts[:30], "Write a python function that sorts"]
    with running(exported, "config_classifier.yaml", tmp_path / "production", everybody) as asking:
        found = [asking.again(AUTO, text, metadata={"tags": ["app:chat"]})[1][0] for text in texts]
    said = [exported.router.decide([{"role": "user", "content": text}], {"app": "chat"}).model for text in texts]
    assert found == said
    assert len(Counter(said)) > 1
