"""``planner audit`` with a contract and an invoice, and their note beside a saving, run as a user runs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prices.billing import HEAD, plain_export

from planner.prices import audit
from planner.traffic import Traffic

CONTRACT = HEAD + (
    "  - provider: openai\n    source: order form\n    from: 2026-01-01\n"
    "    discounts: [{percent: 20}]\n    commitments: [{usd: 5000, per: month}]\n"
)


@dataclass(frozen=True)
class Bills:
    """A contract, a bill at list prices, and one at twice of them."""

    contract: Path
    right: Path
    twice: Path


@pytest.fixture(scope="module")
def bills(desk: Any, tmp_path_factory: pytest.TempPathFactory) -> Bills:
    """Write the sample's own bill, and one that nobody can explain."""
    folder = tmp_path_factory.mktemp("bills")
    found = Bills(folder / "contracts.yaml", folder / "right.csv", folder / "twice.csv")
    log = audit(Traffic.open(desk.traffic))
    found.contract.write_text(CONTRACT, "utf-8")
    found.right.write_text(plain_export(log), "utf-8")
    found.twice.write_text(plain_export(log, log.spend_pusd * 2), "utf-8")
    return found


def test_the_three_dollars_stay_apart(desk: Any, planner: Callable[..., Any], bills: Bills) -> None:
    """List, contract and invoice are said with their evidence, rows add up to the integer, and everything fits the terminal."""
    ran = planner("audit", desk.traffic, "--contract", bills.contract, "--invoice", bills.right)
    assert ran.code == 0, ran.err
    assert max(map(len, ran.out.splitlines())) <= 100
    plain = " ".join(ran.out.split())
    for words in ("(measured), contract", "(assumed), invoice", "(billed, measured)"):
        assert words in plain
    assert {"list", "contract", "outside", "named", "unexplained", "invoice"} <= set(plain.split())
    said = planner("audit", desk.traffic, "--contract", bills.contract, "--invoice", bills.right, "--json").json
    rows, dollars = said["reconciliation"]["table"], said["reconciliation"]["dollars"]
    for row in rows:
        parts = (row[f"{part}_pusd"] for part in ("contract", "outside", "named", "unexplained"))
        assert sum(parts) == row["invoice_pusd"]
    for part, dollar in dollars.items():
        assert sum(row[f"{part}_pusd"] for row in rows) / 1e12 == pytest.approx(dollar["value"], abs=1e-9)
    assert dollars["list"]["value"] == pytest.approx(said["total"]["value"])
    assert (dollars["list"]["evidence"], dollars["contract"]["evidence"], dollars["invoice"]["evidence"]) == (
        "measured",
        "assumed",
        "measured",
    )
    assert said["reconciliation"]["rows"]["quarantined"] == len(said["reconciliation"]["quarantine"]) == 0


def test_a_contract_alone_shows_list_beside_contract(desk: Any, planner: Callable[..., Any], bills: Bills) -> None:
    """Without an invoice the second dollar stands beside the first, its shortfall as a line of its own; without either nothing changes."""
    said = planner("audit", desk.traffic, "--contract", bills.contract, "--json").json
    kinds = {row["kind"] for row in said["contract"]["table"]}
    assert kinds == {"calls", "shortfall"}
    assert said["contract"]["total"]["evidence"] == "assumed"
    assert "reconciliation" not in said
    bare = planner("audit", desk.traffic, "--json").json
    assert set(said) - set(bare) == {"contract"}
    assert said["total"] == bare["total"]
    ran = planner("audit", desk.traffic, "--contract", bills.contract)
    assert "Shortfall" in ran.out
    assert "contract is" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100


def test_the_note_stands_beside_every_saving(desk: Any, planner: Callable[..., Any], bills: Bills) -> None:
    """A bill that is half unexplained is said by audit, plan and simulate; one that is explained leaves no note."""
    asked = ("simulate", desk.traffic, "--labels", desk.labels, "--bundle", desk.bundle)
    note = planner("audit", desk.traffic, "--invoice", bills.twice, "--json").json["reconciliation"]["note"]
    assert note.startswith("50.0% of the invoice")
    ran = planner(*asked, "--invoice", bills.twice)
    assert ran.code == 0, ran.err
    assert note in " ".join(ran.out.split())
    assert "Savings here are list dollars." in ran.out
    planned = planner("plan", desk.traffic, "--invoice", bills.twice)
    assert note in " ".join(planned.out.split())
    assert max(map(len, planned.out.splitlines())) <= 100
    right = planner(*asked, "--invoice", bills.right, "--contract", bills.contract, "--json").json
    assert right["dollars"]["contract"]["evidence"] == "assumed"
    assert right["dollars"]["list"]["value"] != right["dollars"]["contract"]["value"]
    assert right["plans"] == desk.simulated.json["plans"]
    assert "dollars" not in desk.simulated.json


def test_compare_says_in_which_dollars_it_saves(desk: Any, planner: Callable[..., Any], bills: Bills, tmp_path: Path) -> None:
    """Under a contract alone a comparison names both dollars of the log and their evidence."""
    plan = tmp_path / "plan.yaml"
    plan.write_text("format: planner.plan\nversion: 1\nname: nothing\nlevers: []\n", "utf-8")
    ran = planner("compare", desk.traffic, plan, "--contract", bills.contract)
    assert ran.code == 0, ran.err
    plain = " ".join(ran.out.split())
    assert "at list (measured)" in plain
    assert "under the contract (assumed)" in plain


def test_the_picture_is_written(desk: Any, planner: Callable[..., Any], bills: Bills, tmp_path: Path) -> None:
    """--picture writes a PNG of the reconciliation."""
    file = tmp_path / "bill.png"
    assert planner("audit", desk.traffic, "--invoice", bills.twice, "--picture", file).code == 0
    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sku", "a=gpt-5"], "--sku without --invoice"),
        (["--picture", "x.png"], "--picture without --invoice"),
        (["--invoice", "absent.csv"], "absent.csv"),
        (["--contract", "absent.yaml"], "a readable contracts file"),
        (["--invoice", "RIGHT", "--invoice-cost", "amortised"], "one of effective, billed"),
        (["--invoice", "RIGHT", "--invoice-map", "day=date"], "column 'day' of ours"),
        (["--invoice", "RIGHT", "--invoice-map", "date=date"], "For example --invoice-map date=Day"),
    ],
)
def test_what_cannot_be_is_said(options: list[str], words: str, desk: Any, planner: Callable[..., Any], bills: Bills) -> None:
    """Options that need another, and files that are none, end in one sentence and exit code 2."""
    ran = planner("audit", desk.traffic, *(str(bills.right) if x == "RIGHT" else x for x in options))
    assert (ran.code, ran.out) == (2, "")
    assert words in " ".join(ran.err.split())
    assert "Traceback" not in ran.err
