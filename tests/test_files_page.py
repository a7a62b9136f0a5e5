"""The page about files: every example is read by what reads such files, and no lever or field is left out."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from planner.cli.preflight import read_quotas
from planner.policies import Plan
from planner.policies.plan_file import KINDS
from planner.prices import Contract, PriceBook
from planner.router.rollout import APP_SOURCES, GUARDRAILS, MODES, AppRollout, Guardrail, Mirroring, Rollout, read
from planner.schema import TOKEN_BUCKETS
from planner.traffic import Apps

PAGE = Path(__file__).resolve().parents[1] / "docs" / "files.md"
EXAMPLES = re.findall(r"```yaml( no-bundle)?\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", [text for bundle, text in EXAMPLES if not bundle])
def test_examples_are_read(example: str, tmp_path: Path) -> None:
    """Each example is a file that its reader takes."""
    kind, file = yaml.safe_load(example).get("format", "quotas"), tmp_path / "example.yaml"
    file.write_text(example, "utf-8")
    if kind == "planner.plan":
        assert Plan.read(file).levers
    elif kind == "planner.prices":
        assert PriceBook.load(overrides=file).quote("our-gpt", "openai").usd_per_mtok["output_tokens"] == 8.0
    elif kind == "quotas":
        assert read_quotas(file, ["gpt-5.4", "gpt-5.4-mini"])["gpt-5.4"] == {"rpm": 500, "tpm": 200_000}
    elif kind == "planner.apps":
        assert Apps.load(file)
    else:
        assert kind == "planner.contracts"
        assert Contract.load(file)


def test_the_rollout_is_read_and_every_field_is_on_the_page(tmp_path: Path) -> None:
    """The example is a rollout that a gateway takes, has every field, and each field, mode, guardrail and source of apps is named."""
    page = PAGE.read_text("utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "rollout.json").write_text(example, "utf-8")
    rollout = read(tmp_path / "rollout.json")
    assert json.loads(example) == rollout.state()
    named = [f.name for kind in (Rollout, AppRollout, Mirroring, Guardrail) for f in fields(kind) if f.name != "apps"]
    missing = [name for name in (*named, *MODES, *GUARDRAILS, *APP_SOURCES) if not re.search(rf"`[^`]*\b{name}\b[^`]*`", page)]
    assert not missing
    assert "x-litellm-tags: app:chat" in page


def test_every_lever_and_field_is_on_the_page() -> None:
    """Whoever writes a plan finds every kind of lever with every field it has."""
    shown = [
        lever for _, text in EXAMPLES if yaml.safe_load(text).get("format") == "planner.plan" for lever in yaml.safe_load(text)["levers"]
    ]
    assert {lever["kind"] for lever in shown} == {*KINDS, "route"}
    named: dict[str, set[str]] = {}
    for lever in shown:
        named.setdefault(lever["kind"], set()).update(lever)
    missing = {k: {f.name for f in fields(c)} - named[k] - {"apps"} for k, c in KINDS.items()}  # type: ignore[arg-type]
    assert not {k: names for k, names in missing.items() if names}
    assert all(f"`{bucket}`" in PAGE.read_text("utf-8") for bucket in TOKEN_BUCKETS)
