"""The page about files: every example is read by what reads such files, and no lever or field is left out."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from planner.policies import Plan
from planner.policies.plan_file import KINDS
from planner.prices import Contract, PriceBook
from planner.schema import TOKEN_BUCKETS
from planner.traffic import Apps

PAGE = Path(__file__).resolve().parents[1] / "docs" / "files.md"
EXAMPLES = re.findall(r"```yaml( no-bundle)?\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", [text for bundle, text in EXAMPLES if not bundle])
def test_examples_are_read(example: str, tmp_path: Path) -> None:
    """Each example is a file that its reader takes."""
    kind, file = yaml.safe_load(example)["format"], tmp_path / "example.yaml"
    file.write_text(example, "utf-8")
    if kind == "planner.plan":
        assert Plan.read(file).levers
    elif kind == "planner.prices":
        assert PriceBook.load(overrides=file).quote("our-gpt", "openai").usd_per_mtok["output_tokens"] == 8.0
    elif kind == "planner.apps":
        assert Apps.load(file)
    else:
        assert kind == "planner.contracts"
        assert Contract.load(file)


def test_every_lever_and_field_is_on_the_page() -> None:
    """Whoever writes a plan finds every kind of lever with every field it has."""
    shown = [lever for _, text in EXAMPLES if yaml.safe_load(text)["format"] == "planner.plan" for lever in yaml.safe_load(text)["levers"]]
    assert {lever["kind"] for lever in shown} == {*KINDS, "route"}
    named: dict[str, set[str]] = {}
    for lever in shown:
        named.setdefault(lever["kind"], set()).update(lever)
    missing = {k: {f.name for f in fields(c)} - named[k] - {"apps"} for k, c in KINDS.items()}  # type: ignore[arg-type]
    assert not {k: names for k, names in missing.items() if names}
    assert all(f"`{bucket}`" in PAGE.read_text("utf-8") for bucket in TOKEN_BUCKETS)
