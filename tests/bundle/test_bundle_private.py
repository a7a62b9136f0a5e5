"""What is in a bundle: no text of a request and no row of a customer, whatever the labels hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.bundles import members
from support.labels import COST

import planner
from planner.bundle import export
from planner.bundle.vectors import made_up
from planner.labels import Labels
from planner.policies import Plan, Route
from planner.router.load import WEIGHTS
from planner.training import Training, train

#: [characters] of a piece of a prompt that may occur nowhere.
PIECE = 12
_SYLLABLES = ("ka", "lo", "mir", "ten", "su", "vo", "pra", "gü", "注文", "dze", "ный", "qua", "rix", "hol")


@pytest.fixture(scope="module")
def labelled() -> tuple[Labels, list[str], list[str]]:
    """Make labels full of canaries, some shared by many users: also return the texts and all that names a customer."""
    rng = np.random.default_rng(7)
    n = 400
    words = ["".join(rng.choice(_SYLLABLES, 4)) for _ in range(300)]
    shared = [f"Canary{i}Gemeinsam{''.join(rng.choice(_SYLLABLES, 3))}" for i in range(5)]
    hard = rng.random(n) < 0.4
    texts, systems = [], []
    for i in range(n):
        own = [*rng.choice(words, 12), rng.choice(shared), f"canary-{i:05d}-{rng.integers(10**9)}", "beweise" if hard[i] else "nenne"]
        texts.append(" ".join(rng.permutation(own)))
        systems.append(f"Vorlage {words[i % 3]} {words[i % 3 + 7]} geheim.")
    who = {name: [f"{name}~canary~{i % 90:03d}~{rng.integers(10**6)}" for i in range(n)] for name in ("request_id", "user", "session_id")}
    messages = [
        json.dumps([{"role": "system", "content": s}, {"role": "user", "content": t}], ensure_ascii=False)
        for s, t in zip(systems, texts, strict=True)
    ]
    items = pd.DataFrame({**who, "app": np.where(hard, "maths", "chat"), "messages": messages})
    right = {"large": (0.95, 0.9), "middle": (0.93, 0.6), "small": (0.92, 0.2)}
    outcomes = pd.concat(
        [
            pd.DataFrame(
                {
                    "request_id": who["request_id"],
                    "model": model,
                    "quality": (rng.random(n) < np.where(hard, bad, good)).astype(float),
                    "response": [f"antwort~canary~{i}~{model}" for i in range(n)],
                }
            )
            for model, (good, bad) in right.items()
        ]
    )
    labels = Labels.of(items, outcomes.reset_index(drop=True))
    return labels, [*texts, *systems], [name for names in who.values() for name in names] + outcomes["response"].tolist()


@pytest.fixture(scope="module")
def training(labelled) -> Training:
    """Train on them: the learned router must have read them."""
    found = train(labelled[0], reference="large", cost=COST)
    assert found.router.scorer.weights.any()
    return found


def texts_in(folder: Path) -> str:
    """Return all that can be read in any file: its bytes in two encodings, decoded JSON, and the unpacked weights."""
    contents = [p.read_bytes() for p in sorted(folder.rglob("*"))] + list(members(folder).values())
    decoded = [json.dumps(json.loads(p.read_bytes()), ensure_ascii=False) for p in sorted(folder.glob("*.json"))]
    utf16 = [c.decode("utf-16-le", "ignore") for c in contents]
    return "\n".join([*(c.decode("utf-8", "replace") for c in contents), *(c.decode("latin-1") for c in contents), *utf16, *decoded])


def pieces(texts: list[str]) -> set[str]:
    """Return every piece of PIECE characters."""
    return {t[i : i + PIECE] for t in texts for i in range(len(t) - PIECE + 1)}


def found_in(written: str, wanted: set[str]) -> set[str]:
    """Return which pieces stand anywhere in ``written``."""
    return {p for i in range(len(written)) if (p := written[i : i + PIECE]) in wanted}


def ours() -> str:
    """Return what is public: our own made-up test vectors, and the words of the package itself."""
    sources = [p.read_text("utf-8") for p in sorted(Path(planner.__file__).parent.rglob("*.py"))]
    return "\n".join([*sources, repr(made_up(48, ["chat", "maths"]))])


def test_no_text_and_no_customer(labelled, training, tmp_path):
    """No canary, no name of a request, user or session, no answer and no twelve characters of any prompt are in any file."""
    _, texts, names = labelled
    plan = Plan((Route(training.router),), "route")
    folder = export(training.router, tmp_path / "b", training=training, plan=plan, requests=training.problem.requests)
    written = texts_in(folder)
    canaries = [w for t in texts for w in t.split() if "anary" in w]
    assert len(canaries) == 800
    assert not [c for c in {*canaries, *names} if c in written]
    assert "anary" not in written
    public = ours()
    assert not {p for p in found_in(written, pieces(texts)) if p not in public}, "a piece of a prompt that is not ours"


@pytest.mark.parametrize("name", ["per app", "length", "best"])
def test_rules_hold_no_text_either(labelled, training, tmp_path, name):
    """A simple rule's files hold nothing of the labels but the names of apps and models."""
    written = texts_in(export(training.rules[name], tmp_path / "b", training=training))
    assert "anary" not in written
    assert not [n for n in labelled[2] if n in written]
    assert {"chat", "maths", "large"} <= set(re.findall(r"\w+", written))


def test_the_search_would_find_it(labelled, training, tmp_path):
    """The search finds a prompt or a user that somebody puts into the evaluation or a file."""
    _, texts, names = labelled
    folder = export(training.router, tmp_path / "b", evaluation={"worst": texts[0], "of": names[400]})
    written = texts_in(folder)
    assert texts[0] in written
    assert names[400] in written
    assert found_in(written, pieces(texts[:1])) == pieces(texts[:1])
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes().replace(b"intercept", b"canary999"))
    assert "canary999" in texts_in(folder)
