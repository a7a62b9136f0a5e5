"""Contracts: integers from list to contract, deployments and commitments against closed forms, credits last; clear errors."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prices.billing import HEAD, audited, calls, stored

from planner.errors import InputError, NeedsError, PriceError
from planner.prices import Contract, PriceBook, audit, contracted
from planner.prices.contract import FOREVER, PPM, Capacity, Commitment, Credit, Discount
from planner.prices.contract_lines import CREDIT, FEE, SHORTFALL, lines
from planner.prices.contract_rows import Rows, under
from planner.traffic.sampling import sampled

USD = 10**12
START, NOVEMBER = dt.date(2026, 1, 1), dt.date(2026, 11, 1)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Load the bundled catalogue."""
    return PriceBook.load()


def _load(folder: Path, text: str) -> Contract:
    file = folder / "contracts.yaml"
    file.write_text(HEAD + text, "utf-8")
    return Contract.load(file)


def _rows(list_pusd: list[int], tokens: list[int] | None = None, seconds: list[int] | None = None, **more: Any) -> Rows:
    n = len(list_pusd)
    full = np.zeros((n, 6), np.int64)
    full[:, 0] = tokens or 0
    times = np.datetime64("2026-11-02", "us") + np.array(seconds or [0] * n).astype("timedelta64[s]")
    names = {name: np.full(n, more.get(name, value), object) for name, value in (("provider", "p"), ("model", "m"), ("tier", "standard"))}
    ids = np.array([f"r{i}" for i in range(n)], object)
    return Rows(**names, times=times, tokens=full, weight=np.ones(n), list_pusd=np.array(list_pusd, np.int64), request_id=ids)


def _discount(percent: float, **more: Any) -> Discount:
    return Discount("p", more.pop("start", START), more.pop("end", FOREVER), "a letter", PPM - round(percent * PPM / 100), **more)


def test_a_contract_without_terms_changes_nothing(tmp_path: Path, book: PriceBook) -> None:
    """Every call costs its list price to the integer, and stays as measured as it was."""
    found = audited(calls(), tmp_path / "t", book)
    for contract in (Contract(), _load(tmp_path, "  []\n")):
        result = contracted(found, contract)
        assert (result.cost_pusd == found.spend_pusd).all()
        assert result.total.value == found.total.value
        assert (result.total.evidence, result.lines) == ("measured", ())
        assert sum(result.table["contract_pusd"]) == sum(found.spend_pusd.tolist()) == sum(result.table["list_pusd"])


def test_calls_without_a_price_are_not_shown_as_free(tmp_path: Path, book: PriceBook) -> None:
    """A model without a price has no dollars in the table, which says how many calls that are; the integers still add up."""
    frame = calls()
    frame.loc[:2, ["provider", "model"]] = ["openai", "acme-ft-7b"]
    result = contracted(audited(frame, tmp_path / "t", book), Contract())
    rows = result.table[result.table["model"] == "acme-ft-7b"]
    assert rows[["list_usd", "contract_usd"]].isna().all(axis=None)
    assert sum(int(what.split(" of ")[0]) for what in rows["what"]) == 3
    assert rows["what"].str.endswith("calls have no price").all()
    assert sum(result.table["list_pusd"]) == sum(result.audit.spend_pusd.tolist())


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=20), st.integers(0, PPM))
def test_a_discount_is_exact_to_the_half_pico_dollar(prices: list[int], keep: int) -> None:
    """Whatever the amount, the contract price is the exact fraction of list, rounded half up, without overflow."""
    cost, touched = under(Contract(discounts=(Discount("p", START, FOREVER, "x", keep),)), _rows(prices))
    for pusd, found in zip(prices, cost.tolist(), strict=True):
        assert found == int(Fraction(pusd * keep, PPM) + Fraction(1, 2))
        assert 0 <= found <= pusd
    assert touched.all()


def test_the_most_specific_discount_counts_alone() -> None:
    """Model and tier before model before tier before provider; of two alike the one that started later; none outside its dates."""
    every, model, both = _discount(10), _discount(20, model="m"), _discount(50, model="m", tier="batch")
    later = _discount(30, model="m", start=dt.date(2026, 11, 1))
    over = _discount(90, model="m", tier="batch", end=dt.date(2026, 11, 1))
    asked = {"standard": 700, "batch": 500}
    for tier, left in asked.items():
        cost, _ = under(Contract(discounts=(over, both, later, model, every)), _rows([1000], tier=tier))
        assert cost.tolist() == [left]
    assert under(Contract(discounts=(over, both, later, model, every)), _rows([1000], model="other"))[0].tolist() == [900]
    assert under(Contract(discounts=(every,)), _rows([1000], provider="q"))[0].tolist() == [1000]


def test_a_term_holds_from_its_first_to_its_last_day() -> None:
    """Both days are included, in UTC: the day before and the day after pay list."""
    days = [86_400 * i for i in range(4)]
    term = _discount(50, start=dt.date(2026, 11, 3), end=dt.date(2026, 11, 4))
    assert under(Contract(discounts=(term,)), _rows([10] * 4, seconds=days))[0].tolist() == [10, 5, 5, 10]


def _deployment(tokens: int, seconds: int = 60, **more: Any) -> Capacity:
    return Capacity("p", START, FOREVER, "a letter", "ptu", "m", 3_100 * USD, tokens, seconds, **more)


def test_calls_are_free_up_to_capacity_and_cost_again_beyond() -> None:
    """In each minute calls cost nothing while what came before has not filled it; the next minute begins empty."""
    rows = _rows([10, 10, 10, 10, 10], [60, 40, 1, 90, 30], [0, 10, 20, 60, 65])
    assert under(Contract(capacities=(_deployment(100),)), rows)[0].tolist() == [0, 0, 10, 0, 0]
    assert under(Contract(capacities=(_deployment(90),)), rows)[0].tolist() == [0, 0, 10, 0, 10]
    assert under(Contract(capacities=(_deployment(100, 86_400),)), rows)[0].tolist() == [0, 0, 10, 10, 10]


def test_output_and_cache_reads_fill_a_deployment_at_their_own_rate() -> None:
    """Output that counts four times fills it four times as fast, cache reads that count nothing never."""
    rows = _rows([10, 10])
    rows.tokens[:, 4], rows.tokens[:, 1] = 25, 10**9
    for counts, cost in ((4.0, [0, 10]), (3.9, [0, 0])):
        assert under(Contract(capacities=(_deployment(100, output_counts=counts, cached_counts=0.0),)), rows)[0].tolist() == cost


@given(st.permutations(range(6)), st.integers(1, 200))
def test_the_order_of_rows_does_not_matter(order: list[int], capacity: int) -> None:
    """A shuffled log costs the same call by call, ties in time included."""
    rows = _rows([10, 20, 30, 40, 50, 60], [10, 50, 20, 30, 5, 70], [0, 0, 0, 30, 59, 61])
    contract = Contract(discounts=(_discount(15),), capacities=(_deployment(capacity),))
    parts = {name: getattr(rows, name)[order] for name in Rows.__dataclass_fields__}
    assert under(contract, Rows(**parts))[0].tolist() == under(contract, rows)[0][order].tolist()


def test_lines_against_closed_forms() -> None:
    """A fee by its days, a commitment less use and fees, a credit on what is left, which never goes below zero."""
    deployment = Capacity("p", dt.date(2026, 11, 16), FOREVER, "x", "ptu", "m", 3_000 * USD, 1, 60)
    contract = Contract(
        capacities=(deployment,),
        commitments=(Commitment("p", START, FOREVER, "x", 9_200 * USD, 3),),
        credits=(Credit("p", NOVEMBER, FOREVER, "x", 100_000 * USD), Credit("p", NOVEMBER, dt.date(2026, 11, 30), "sooner", 500 * USD)),
    )
    usage = {("p", dt.date(2026, 11, 1)): 700 * USD, ("q", dt.date(2026, 11, 1)): 10**9 * USD}
    found = lines(contract, usage, dt.date(2026, 11, 1), dt.date(2026, 11, 30))
    assert [(line.kind, line.pusd // USD) for line in found] == [
        (FEE, 1_500),
        (SHORTFALL, 3_000 - 700 - 1_500),
        (CREDIT, -500),
        (CREDIT, -2_500),
    ]
    assert lines(contract, {}, dt.date(2025, 11, 1), dt.date(2025, 11, 30)) == []


def test_a_commitment_that_is_used_has_no_shortfall() -> None:
    """Use at or above what was committed adds nothing; a year is twelve months whatever their lengths."""
    contract = Contract(commitments=(Commitment("p", dt.date(2026, 4, 1), FOREVER, "x", 365 * USD, 12),))
    year = dt.date(2026, 4, 1), dt.date(2027, 3, 31)
    assert lines(contract, {("p", dt.date(2026, 8, 1)): 365 * USD}, *year) == []
    (short,) = lines(contract, {("p", dt.date(2026, 8, 1)): 65 * USD}, *year)
    assert (short.pusd, short.month) == (300 * USD, dt.date(2027, 3, 1))
    (part,) = lines(contract, {}, dt.date(2026, 4, 1), dt.date(2026, 4, 30))
    assert part.pusd == 30 * USD


@given(st.lists(st.integers(0, 10**15), min_size=3, max_size=3), st.lists(st.integers(0, 10**16), max_size=4))
def test_credits_never_make_a_bill_negative(use: list[int], credits: list[int]) -> None:
    """In every month what is left of the bill is at least zero, and no credit pays more than it holds."""
    months = [dt.date(2026, m, 1) for m in (9, 10, 11)]
    terms = tuple(Credit("p", months[0], FOREVER, str(i), pusd) for i, pusd in enumerate(credits))
    usage = {("p", m): pusd for m, pusd in zip(months, use, strict=True)}
    found = lines(Contract(credits=terms), usage, months[0], dt.date(2026, 11, 30))
    for month, bill in zip(months, use, strict=True):
        assert bill + sum(line.pusd for line in found if line.month == month) >= 0
    for term in terms:
        assert -sum(line.pusd for line in found if line.what.endswith(f"({term.source})")) <= term.pusd
    assert -sum(line.pusd for line in found) == min(sum(use), sum(credits))


def _credited(credit: Credit, first: dt.date, last: dt.date, *use: int) -> list[tuple[dt.date, int, str]]:
    """Return what a credit pays of the use [USD] of the months from ``first`` on."""
    months = [dt.date(2026, first.month + i, 1) for i in range(len(use))]
    found = lines(Contract(credits=(credit,)), {("p", m): usd * USD for m, usd in zip(months, use, strict=True)}, first, last)
    return [(line.month, line.pusd // USD, line.what) for line in found]


def test_a_short_log_takes_its_share_of_a_credit() -> None:
    """Of a month that is billed in part a credit pays at most its share by days, as fees are counted; of a whole month all it has."""
    credit = Credit("p", NOVEMBER, FOREVER, "x", 300 * USD)
    assert _credited(credit, NOVEMBER, NOVEMBER, 14) == [(NOVEMBER, -10, "at most its share of 1 of 30 days, $290.00 left (x)")]
    assert _credited(credit, NOVEMBER, dt.date(2026, 11, 30), 200) == [(NOVEMBER, -200, "$100.00 left (x)")]
    two = _credited(credit, NOVEMBER, dt.date(2026, 12, 1), 200, 50)
    assert [pusd for _, pusd, _ in two] == [-200, -4]
    late = Credit("p", dt.date(2026, 11, 16), dt.date(2026, 11, 30), "x", 300 * USD)
    assert _credited(late, NOVEMBER, dt.date(2026, 11, 30), 500)[0][1] == -300
    assert _credited(late, NOVEMBER, dt.date(2026, 11, 20), 500)[0][1] == -100
    assert _credited(late, NOVEMBER, dt.date(2026, 11, 10), 500) == []


def test_what_is_left_of_an_old_credit_is_not_guessed() -> None:
    """A credit as of a day before the log pays nothing and says what to write; one that ended before the log is not mentioned."""
    old = Credit("p", START, FOREVER, "x", 300 * USD)
    ((month, paid, what),) = _credited(old, NOVEMBER, dt.date(2026, 11, 30), 200)
    assert (month, paid) == (NOVEMBER, 0)
    assert what.startswith("not taken: $300.00 left on 2026-01-01, and what of it is left on 2026-11-01")
    assert _credited(Credit("p", START, dt.date(2026, 10, 31), "x", 300 * USD), NOVEMBER, dt.date(2026, 11, 30), 200) == []


def test_a_credit_that_is_not_taken_is_said_and_assumes_nothing(tmp_path: Path, book: PriceBook) -> None:
    """The statement tells it as a line of $0.00, the total stays measured; one that is taken stands beside the bill before it."""
    found = audited(calls(), tmp_path / "t", book)
    terms = "source: x, from: 2026-01-01, credits: [{usd: 1%s}]"
    old = contracted(found, _load(tmp_path, f"  - {{provider: openai, {terms % ''}}}\n"))
    assert (old.total.value, old.total.evidence) == (found.total.value, "measured")
    assert "Credit $0.00 in 2026-10: openai, not taken: $1.00 left on 2026-01-01" in old.text
    new = contracted(found, _load(tmp_path, f"  - {{provider: openai, {terms % ', from: 2026-10-15'}}}\n"))
    assert new.total.value == pytest.approx(found.total.value - 1)
    assert f"under the contract (assumed), ${found.total.value:,.2f} before credits." in new.text


def test_a_fixed_capacity_is_refused_on_a_sample(tmp_path: Path, book: PriceBook) -> None:
    """All calls fill a deployment together: where they were sampled it is refused, and a sample of other models is not."""
    terms = "source: x, from: 2026-01-01, capacity: [{name: ptu, model: %s, usd_per_month: 310, tokens: 100000, per: day}]"
    log = stored(calls(), tmp_path / "t")
    part = sampled(log, 0.3, tmp_path / "part")
    mine = _load(tmp_path, f"  - {{provider: openai, {terms % 'gpt-5.4'}}}\n")
    with pytest.raises(NeedsError, match=r"fixed capacity of 'ptu' on a sample, whose rows stand for up to 3\.333 requests"):
        contracted(audit(part, book), mine)
    assert contracted(audit(sampled(log, 0.3, tmp_path / "text", text_only=True), book), mine).free.n
    other = _load(tmp_path, f"  - {{provider: openai, {terms % 'gpt-5'}}}\n")
    assert contracted(audit(part, book), other).free.n == 0


def test_a_deployment_that_nobody_called_takes_nothing(tmp_path: Path, book: PriceBook) -> None:
    """A capacity for a model that the log lacks leaves every call its price, and bills its fee."""
    terms = "source: x, from: 2026-01-01, capacity: [{name: ptu, model: gpt-5, usd_per_month: 310, tokens: 100000, per: day}]"
    found = audited(calls(), tmp_path / "t", book)
    result = contracted(found, _load(tmp_path, f"  - {{provider: openai, {terms}}}\n"))
    assert (result.cost_pusd == found.spend_pusd).all()
    assert [line.kind for line in result.lines] == [FEE, FEE]


def test_a_sample_without_lines_keeps_its_interval(tmp_path: Path, book: PriceBook) -> None:
    """Under no contract the second dollar of a sample is the first with its interval, and the text has both limits."""
    found = audit(sampled(stored(calls(2_000), tmp_path / "t"), 0.3, tmp_path / "part"), book)
    result = contracted(found, Contract())
    assert (result.total.value, result.total.low, result.total.high) == (found.total.value, found.total.low, found.total.high)
    assert result.total.evidence == "estimated"
    assert f"[${found.total.low:,.2f}, ${found.total.high:,.2f}] at list prices (estimated)" in result.text


def test_a_log_under_its_contract_keeps_both_dollars_apart(tmp_path: Path, book: PriceBook) -> None:
    """List stays measured, contract is assumed where a term touched it, and parts add up to the integer."""
    contract = _load(
        tmp_path,
        "  - provider: openai\n    source: order form\n    from: 2026-07-01\n"
        "    discounts: [{model: gpt-5-mini, percent: 20}]\n    commitments: [{usd: 10, per: month}]\n"
        "    credits: [{usd: 0.5, from: 2026-10-15}]\n",
    )
    found = audited(calls(), tmp_path / "t", book)
    result = contracted(found, contract)
    mini = result.model == "gpt-5-mini"
    assert (result.touched == mini).all()
    assert (result.cost_pusd[~mini] == found.spend_pusd[~mini]).all()
    assert result.cost_pusd[mini].tolist() == [int(Fraction(x * 8, 10) + Fraction(1, 2)) for x in found.spend_pusd[mini].tolist()]
    assert (result.listed.evidence, result.total.evidence) == ("measured", "assumed")
    lined = sum(line.pusd for line in result.lines)
    assert sum(result.table["contract_pusd"]) == sum(result.cost_pusd.tolist()) + lined
    assert sum(result.total.shares.values()) == pytest.approx(result.total.value, rel=1e-12)
    assert set(result.table.loc[result.table["model"] == "claude-haiku-4-5", "evidence"]) == {"measured"}
    assert "list prices (measured)" in result.text
    assert "under the contract (assumed)" in result.text


def test_free_calls_are_said_to_save_nothing(tmp_path: Path, book: PriceBook) -> None:
    """Calls that a deployment took are counted with their list price, and the fee stands beside them as a line of its own."""
    terms = "source: x, from: 2026-01-01, capacity: [{name: ptu, model: gpt-5.4, usd_per_month: 310, tokens: 100000000, per: day}]"
    found = audited(calls(), tmp_path / "t", book)
    result = contracted(found, _load(tmp_path, f"  - {{provider: openai, {terms}}}\n"))
    own = result.model == "gpt-5.4"
    assert not result.cost_pusd[own].any()
    assert result.free.n == (found.spend_pusd[own] > 0).sum()
    assert result.free.value == sum(found.spend_pusd[own].tolist()) / USD
    assert [line.pusd for line in result.lines] == [310 * USD, 310 * USD]
    assert "no saving there is real" in result.text


def test_names_as_a_contract_spells_them(tmp_path: Path, book: PriceBook) -> None:
    """A dated model id and a cloud's spelling of a provider mean the log's; an unknown provider is refused with the nearest."""
    frame = calls(20).assign(provider="bedrock", model="us.anthropic.claude-haiku-4-5-20251001-v1:0")
    found = audited(frame, tmp_path / "t", book)
    text = "  - {provider: %s, source: x, from: 2026-01-01, discounts: [{model: anthropic.claude-haiku-4-5, percent: 100}]}\n"
    assert not contracted(found, _load(tmp_path, text % "amazon-bedrock")).cost_pusd.any()
    with pytest.raises(PriceError, match=r"provider 'opnai'.*Did you mean 'openai'"):
        contracted(found, _load(tmp_path, text % "opnai"))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("  - {provider: openai, source: x}\n", r"line 4: no from; expected provider, source, from"),
        ("  - {provider: openai, source: x, from: 2026-13-01}\n", r"contracts\.yaml: month must be"),
        ("  - {provider: openai, source: x, from: soon}\n", r"line 4: from 'soon'; expected a date like"),
        ("  - {provider: openai, source: '', from: 2026-01-01}\n", r"source ''; expected a name"),
        ("  - {provider: openai, source: x, from: 2026-01-01, discount: []}\n", r"field 'discount'.*Did you mean 'discounts'"),
        ("  - {provider: openai, source: x, from: 2026-01-01, discounts: 5}\n", r"discounts that are no list"),
        ("  - {provider: openai, source: x, from: 2026-01-01, discounts: [{percent: 101}]}\n", r"percent 101; expected a percentage"),
        ("  - {provider: openai, source: x, from: 2026-01-01, discounts: [{percent: true}]}\n", r"percent True"),
        ("  - {provider: openai, source: x, from: 2026-01-01, discounts: [{percent: .nan}]}\n", r"percent nan"),
        ("  - {provider: openai, source: x, from: 2026-01-01, until: 2025-01-01, credits: [{usd: 1}]}\n", r"until 2025-01-01 before"),
        ("  - {provider: openai, source: x, from: 2026-01-15, commitments: [{usd: 1, per: month}]}\n", r"whole calendar months"),
        ("  - {provider: openai, source: x, from: 2026-01-01, commitments: [{usd: 1, per: week}]}\n", r"one of month, quarter, year"),
        ("  - {provider: openai, source: x, from: 2026-01-01, capacity: [{name: a}]}\n", r"no model and no usd_per_month"),
        ("  - 7\n", r"line 4: no fields"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, match: str, tmp_path: Path) -> None:
    """A contracts file that is not understood is refused in one sentence that says where and what was expected."""
    with pytest.raises(InputError, match=match):
        _load(tmp_path, text)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """No such file, no text, no mapping, no header, a duplicate field: each has its own sentence."""
    file = tmp_path / "c.yaml"
    for content, match in ((b"\xff\xfe\x00", "not UTF-8"), (b"- 1\n", "no mapping"), (b"a: 1\n", "a planner.contracts file")):
        file.write_bytes(content)
        with pytest.raises(InputError, match=match):
            Contract.load(file)
    with pytest.raises(InputError, match="readable contracts file"):
        Contract.load(tmp_path / "absent.yaml")
    with pytest.raises(InputError, match="a second time"):
        _load(tmp_path, "  - {provider: openai, provider: x, source: x, from: 2026-01-01}\n")


def test_a_model_that_nobody_knows_is_refused(tmp_path: Path, book: PriceBook) -> None:
    """A discount on a misspelt model is an error, and not a discount on nothing."""
    contract = _load(tmp_path, "  - {provider: openai, source: x, from: 2026-01-01, discounts: [{model: gpt-5-mni, percent: 10}]}\n")
    with pytest.raises(PriceError, match=r"gpt-5-mni.*'gpt-5-mini'"):
        contracted(audited(calls(20), tmp_path / "t", book), contract)


def test_the_standard_tier_has_several_names(tmp_path: Path, book: PriceBook) -> None:
    """A discount on the standard tier is for calls that a log calls default or auto, too, and for no others."""
    frame = calls(60).assign(provider="openai", model="gpt-5-mini", service_tier=["default", "auto", "standard", "batch"] * 15)
    frame["timestamp"] = pd.Timestamp("2026-11-05", tz="UTC")
    contract = Contract(discounts=(Discount("openai", START, FOREVER, "x", 0, tier="standard"),))
    result = contracted(audited(frame, tmp_path / "t", book), contract)
    assert result.cost_pusd.astype(bool).tolist() == [False, False, False, True] * 15


def test_an_unpriced_call_stays_without_a_price(tmp_path: Path, book: PriceBook) -> None:
    """A model without a list price costs nothing under a contract either, and is no part of any sum."""
    frame = calls(10).assign(model="nobody-knows-me", provider="openai")
    contract = Contract(discounts=(Discount("openai", START, FOREVER, "x", PPM // 2),))
    result = contracted(audited(frame, tmp_path / "t", book), contract)
    assert not result.cost_pusd.any()
    assert result.total.n == 0
