"""A sample said by the verbs: one total, estimated, with one interval; what it cannot show is refused or not given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prices.billing import HEAD

PTU = "capacity: [{name: ptu, model: %s, usd_per_month: 100, tokens: 100000, per: minute}]"


@pytest.fixture(scope="module")
def half(desk: Any, planner: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Read half of the sample's conversations; the folder, and what was said."""
    folder = tmp_path_factory.mktemp("half") / "log"
    return folder, planner("read", desk.log, "--sample", "50%", "--out", folder, "--json").json


def test_every_verb_says_the_same_total(desk: Any, planner: Callable[..., Any], half: tuple[Path, Any]) -> None:
    """read, audit, plan and the log in simulate have one amount, estimated; the interval holds what the whole log cost."""
    folder, read = half
    audit = planner("audit", folder, "--json").json
    total = audit["total"]
    assert (total["evidence"], set(total["shares"])) == ("estimated", {"estimated"})
    assert total["low"] < desk.read.json["total"]["value"] < total["high"]
    assert read["total"] == total
    assert sum(row["usd"] for row in read["coverage"] if row["what"] == "requests" and row["app"] == "all") == pytest.approx(total["value"])
    assert sum(row["usd"] for row in audit["spend"]) == pytest.approx(total["value"])
    asked = ("simulate", folder, "--labels", desk.labels, "--bundle", desk.bundle, "--at", "as-logged", "--json")
    logged = planner(*asked).json["plans"][0]
    days = planner("plan", folder, "--at", "as-logged", "--json").json
    assert logged["plan"] == "as logged"
    assert logged["usd_measured"] == 0
    assert f"{logged['usd_per_month']:,.2f}" in days["text"]
    month = logged["usd_per_month"] / total["value"]
    assert days["text"].split(" a month")[0].endswith("estimated")
    assert month == pytest.approx(365.25 / 12 / 28, rel=0.02)


def test_people_see_the_interval(planner: Callable[..., Any], half: tuple[Path, Any]) -> None:
    """Audit and read show both limits of the total and say estimated; tables fit the terminal, and what has no interval is marked."""
    folder, read = half
    total = read["total"]
    audited = planner("audit", folder)
    assert audited.code == 0, audited.err
    plain = " ".join(audited.out.split())
    assert f"${total['value']:,.2f} [${total['low']:,.2f}, ${total['high']:,.2f}] estimated" in plain
    assert "estimated spend" in plain
    assert "Response-cache misses: not given" in plain
    assert max(map(len, audited.out.splitlines())) <= 100
    by_user = planner("audit", folder, "--by", "user").out
    assert "[–]: no interval, since fewer than ten conversations tell." in by_user
    again = planner("read", folder)
    assert f"All dollars: ${total['value']:,.2f} [${total['low']:,.2f}, ${total['high']:,.2f}] estimated (standing for" in again.out


def test_a_capacity_is_refused_by_every_verb(desk: Any, planner: Callable[..., Any], half: tuple[Path, Any], tmp_path: Path) -> None:
    """A sample with a fixed capacity of a model that it calls ends in one sentence and exit code 2; the whole log does not."""
    rows = planner("audit", desk.traffic, "--by", "provider,model", "--json").json["spend"]
    file = tmp_path / "contracts.yaml"
    row = next(r for r in rows if r["usd"] > 0)
    file.write_text(f"{HEAD}  - {{provider: {row['provider']}, source: x, from: 2026-01-01, {PTU % row['model']}}}\n", "utf-8")
    assert planner("audit", desk.traffic, "--contract", file).code == 0
    for verb in ("audit", "plan"):
        ran = planner(verb, half[0], "--contract", file)
        assert (ran.code, ran.out) == (2, "")
        assert "fixed capacity of 'ptu' on a sample" in " ".join(ran.err.split())
