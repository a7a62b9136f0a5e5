"""Reconciliation: parts add up to the invoice, what was taken out of a log comes back as calls outside it, and three dollars stay apart."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prices.billing import HEAD, audited, calls, plain_export, stored, usd

from planner.errors import InputError
from planner.prices import Contract, PriceBook, Reconciliation, audit, contracted, read_invoice, reconcile
from planner.prices.reconcile_usage import UNKNOWN, Billed, Logged, outside
from planner.schema import TOKEN_BUCKETS
from planner.synthetic import sample_bill
from planner.traffic.sampling import sampled

PARTS = ("contract", "outside", "named", "unexplained")
CONTRACT = (
    "  - provider: openai\n    source: order form\n    from: 2026-07-01\n"
    "    discounts: [{percent: 10}, {model: gpt-5-mini, percent: 25}]\n    credits: [{usd: 1, from: 2026-10-15}]\n"
    "    capacity: [{name: ptu, model: gpt-5.4, usd_per_month: 3, tokens: 60000, per: day}]\n"
    "    commitments: [{usd: 40, per: month}]\n"
)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Load the bundled catalogue."""
    return PriceBook.load()


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    """Load a contract with a term of every kind."""
    file = tmp_path / "contracts.yaml"
    file.write_text(HEAD + CONTRACT, "utf-8")
    return Contract.load(file)


def _csv(folder: Path, text: str, name: str = "bill") -> Path:
    path = folder / f"{name}.csv"
    path.write_text(text, "utf-8")
    return path


def _exact(found: Reconciliation) -> bool:
    table = found.table
    rows = [sum(table.loc[i, f"{part}_pusd"] for part in PARTS) == table.loc[i, "invoice_pusd"] for i in table.index]
    return all(rows) and found.pusd("invoice") == found.invoice.pusd == sum(found.pusd(part) for part in PARTS)


def test_a_bill_of_the_log_itself_is_explained_to_the_integer(tmp_path: Path, book: PriceBook) -> None:
    """Where the invoice is the log at list price nothing is outside, nothing unexplained, and there is no note."""
    log = audited(calls(), tmp_path / "t", book)
    found = reconcile(contracted(log, Contract()), read_invoice(_csv(tmp_path, plain_export(log)), book))
    assert _exact(found)
    assert (found.pusd("outside"), found.pusd("unexplained"), found.note) == (0, 0, "")
    assert found.pusd("list") == found.pusd("contract") == found.pusd("invoice") == sum(log.spend_pusd.tolist())
    assert {(r.provider, r.month) for r in found.table.itertuples()} == set(
        itertools.product(("anthropic", "openai"), ("2026-10", "2026-11"))
    )
    assert {name: e.evidence for name, e in found.dollars.items()} == dict.fromkeys(found.dollars, "measured")


def test_calls_taken_out_of_the_log_are_calls_outside_it(tmp_path: Path, book: PriceBook) -> None:
    """A tenth of the calls is removed: what they cost is what is outside, model by model and to the pico-dollar, and nothing else is."""
    frame = calls(2_000)
    whole = audited(frame, tmp_path / "whole", book)
    bill = read_invoice(_csv(tmp_path, plain_export(whole)), book)
    kept = np.random.default_rng(3).random(len(frame)) >= 0.1
    found = reconcile(contracted(audited(frame[kept], tmp_path / "kept", book), Contract()), bill)
    missing = sum(whole.spend_pusd[~kept].tolist())
    assert _exact(found)
    assert abs(found.pusd("outside") - missing) <= len(found.table)
    assert abs(found.pusd("unexplained")) <= len(found.table)
    assert found.outside_share == pytest.approx(missing / found.pusd("invoice"), rel=1e-9)
    assert found.unexplained_share < 1e-9
    assert found.dollars["outside"].evidence == "estimated"
    assert "is for calls outside the log" in found.note
    assert "explained neither" not in found.note


def test_a_dearer_price_is_unexplained_and_no_call_outside(tmp_path: Path, book: PriceBook) -> None:
    """A model billed at twice its price with the same tokens is unexplained by just that much, and the note says so."""
    log = audited(calls(), tmp_path / "t", book)
    doubled = plain_export(log, scale={"gpt-5.4": 2})
    found = reconcile(contracted(log, Contract()), read_invoice(_csv(tmp_path, doubled), book))
    own = sum(log.spend_pusd[(log.traffic.frame("model")["model"] == "gpt-5.4").to_numpy()].tolist())
    assert _exact(found)
    assert (found.pusd("outside"), found.pusd("unexplained")) == (0, own)
    assert found.note.startswith(f"{own / found.pusd('invoice'):.1%} of the invoice")
    assert "gpt-5.4 2026-10" in found.text


def test_the_note_begins_beyond_three_per_cent(tmp_path: Path, book: PriceBook) -> None:
    """Up to 3 % unexplained there is no note, beyond it there is; excess and lack in two models do not cancel."""
    log = audited(calls(), tmp_path / "t", book)
    total = sum(log.spend_pusd.tolist())
    rest = plain_export(log).rstrip("\n")
    for share, noted in ((0.029, False), (0.032, True)):
        extra = round(total * share / (1 - share))
        text = f"{rest}\n2026-10-05,openai,gpt-5.4,{usd(extra)},,,,\n"
        found = reconcile(contracted(log, Contract()), read_invoice(_csv(tmp_path, text), book))
        assert found.unexplained_share == pytest.approx(share)
        assert bool(found.note) is noted
    moved = f"{rest}\n2026-10-05,openai,gpt-5.4,{usd(total // 20)},,,,\n2026-10-05,anthropic,claude-haiku-4-5,{usd(-(total // 20))},,,,\n"
    found = reconcile(contracted(log, Contract()), read_invoice(_csv(tmp_path, moved), book))
    assert found.pusd("unexplained") == 0
    assert found.unexplained_share == pytest.approx(0.1, rel=0.06)


def test_a_contract_that_holds_explains_its_invoice(tmp_path: Path, book: PriceBook, contract: Contract) -> None:
    """Discounts, free calls, fee, shortfall and credit as agreed leave nothing unexplained, and dollars of terms are assumed."""
    log = audited(calls(), tmp_path / "t", book)
    under = contracted(log, contract)
    text = "date,end,provider,model,usd,kind\n"
    frame = log.traffic.frame("timestamp", "provider", "model").assign(pusd=under.cost_pusd)
    for (day, provider, model), own in frame.groupby([frame["timestamp"].dt.strftime("%Y-%m-%d"), "provider", "model"]):
        text += f"{day},,{provider},{model},{usd(sum(own['pusd'].tolist()))},\n"
    for line in under.lines:
        text += f"{line.month},{line.month.replace(day=30)},openai,,{usd(line.pusd)},{line.kind}\n"
    found = reconcile(under, read_invoice(_csv(tmp_path, text), book))
    assert _exact(found)
    assert found.pusd("unexplained") == 0
    assert {line.kind for line in under.lines} == {"fixed fee", "shortfall", "credit"} <= set(found.table["kind"])
    assumed = {name for name, e in found.dollars.items() if e.evidence == "assumed"}
    assert assumed == {"contract", "unexplained"}
    assert {e.evidence for name, e in found.dollars.items() if name not in assumed} == {"measured"}
    assert found.pusd("list") != found.pusd("contract")
    assert "list" in found.text
    assert "(assumed)" in found.text


def test_what_only_the_invoice_names_is_named_and_what_only_the_contract_names_is_unexplained(tmp_path: Path, book: PriceBook) -> None:
    """Tax and credits without a contract are named; a commitment that the invoice does not bill is unexplained."""
    log = audited(calls(), tmp_path / "t", book)
    rest = plain_export(log).replace("\n", ",\n").replace("output_tokens,\n", "output_tokens,kind\n")
    text = f"{rest}2026-10-01,openai,,5,,,,,tax\n2026-10-01,openai,,-2,,,,,credit\n"
    bill = read_invoice(_csv(tmp_path, text), book)
    found = reconcile(contracted(log, Contract()), bill)
    assert (found.pusd("named"), found.pusd("unexplained")) == (3 * 10**12, 0)
    file = tmp_path / "c.yaml"
    terms = "  - {provider: openai, source: x, from: 2026-10-01, commitments: [{usd: 1000, per: year}], credits: [{usd: 2}]}\n"
    file.write_text(HEAD + terms, "utf-8")
    found = reconcile(contracted(log, Contract.load(file)), bill)
    assert _exact(found)
    short = found.table[found.table["kind"] == "shortfall"]
    assert short["unexplained_pusd"].tolist() == [-x for x in short["contract_pusd"]]
    assert found.table.loc[found.table["kind"] == "credit", "unexplained_pusd"].tolist() == [0]


def test_models_days_and_providers_that_one_side_lacks(tmp_path: Path, book: PriceBook) -> None:
    """A model or a day without logged calls is outside, an unknown name unexplained, a provider not on the invoice said apart."""
    frame = calls()
    log = audited(frame, tmp_path / "t", book)
    text = "date,provider,model,usd\n2026-10-03,openai,gpt-4o,7\n2026-12-03,openai,gpt-5.4,5\n2026-10-03,openai,strange thing,3\n"
    found = reconcile(contracted(log, Contract()), read_invoice(_csv(tmp_path, text), book))
    rows = {row["model"]: row for row in found.table.to_dict("records") if row["month"] != "2026-11"}
    assert _exact(found)
    assert rows["gpt-4o"]["outside_usd"] == 7
    assert rows["strange thing"]["unexplained_usd"] == 3
    assert "--sku" in rows["strange thing"]["why"]
    december = found.table[found.table["month"] == "2026-12"].iloc[0]
    assert (december["model"], december["outside_usd"]) == ("gpt-5.4", 5)
    claude = (frame["provider"] == "anthropic").to_numpy()
    before = (frame["timestamp"] < "2026-10-03").to_numpy()
    assert found.beside_pusd == sum(log.spend_pusd[claude | before].tolist())
    assert found.pusd("list") + found.beside_pusd == sum(log.spend_pusd.tolist())


def test_no_bill_is_made_up_beside_another_log(tmp_path: Path, book: PriceBook) -> None:
    """The bills of the sample are refused beside any other log: they would look like measured ones."""
    with pytest.raises(InputError, match="not the sample"):
        sample_bill(audited(calls(), tmp_path / "t", book), tmp_path / "bill")


def test_unpriced_calls_say_so_beside_what_is_unexplained(tmp_path: Path, book: PriceBook) -> None:
    """A row whose calls have no price says how many, since that is why its bill is unexplained."""
    frame = calls(400)
    known = audited(frame, tmp_path / "known", book)
    uncounted = frame["model"] == "gpt-5.4"
    log = audited(frame.assign(**{bucket: frame[bucket].where(~uncounted, 0) for bucket in TOKEN_BUCKETS}), tmp_path / "log", book)
    found = reconcile(contracted(log, Contract()), read_invoice(_csv(tmp_path, plain_export(known)), book))
    rows = found.table[found.table["model"] == "gpt-5.4"]
    assert sum(int(why.split("; ")[-1].split(" calls")[0]) for why in rows["why"]) == uncounted.sum()
    assert _exact(found)


def test_days_that_one_side_lacks(tmp_path: Path, book: PriceBook) -> None:
    """Charges of days around the log are outside it, in a month it has calls in; days around the invoice are not compared."""
    frame = calls(400)
    day = frame["timestamp"].dt.strftime("%Y-%m-%d")
    whole = audited(frame, tmp_path / "whole", book)
    bill = read_invoice(_csv(tmp_path, "\n".join(r for r in plain_export(whole).splitlines() if r < "2026-11-11" or r[0] == "d")), book)
    inner = (day >= "2026-10-05") & (day <= "2026-11-20")
    found = reconcile(contracted(audited(frame[inner], tmp_path / "inner", book), Contract()), bill)
    assert _exact(found)
    assert found.pusd("outside") == sum(whole.spend_pusd[(day < "2026-10-05").to_numpy()].tolist())
    assert found.beside_pusd == sum(whole.spend_pusd[(inner & (day > "2026-11-10")).to_numpy()].tolist())
    assert found.pusd("unexplained") == 0
    assert set(found.table["month"]) == {"2026-10", "2026-11"}


def test_a_tax_of_a_month_widens_nothing(tmp_path: Path, book: PriceBook) -> None:
    """With use of ten days billed, a tax or a credit line of the whole month is named, and the other twenty days stay uncompared."""
    log = audited(calls(), tmp_path / "t", book)
    head, *rows = plain_export(log).splitlines()
    ten = "\n".join([f"{head},end,kind", *(f"{row},," for row in rows if "2026-11-01" <= row < "2026-11-11")])
    month = "2026-11-01,%s,,%s,,,,,2026-12-01,%s"
    lines = [month % ("openai", "3", "tax"), month % ("openai", "-1", "credit"), month % ("anthropic", "2", "adjustment")]
    plain, more = (read_invoice(_csv(tmp_path, "\n".join([ten, *extra]) + "\n"), book) for extra in ([], lines))
    before, after = (reconcile(contracted(log, Contract()), bill) for bill in (plain, more))
    assert _exact(after)
    assert (before.pusd("unexplained"), after.pusd("unexplained")) == (0, 0)
    assert (before.pusd("list"), before.beside_pusd) == (after.pusd("list"), after.beside_pusd)
    assert after.pusd("named") == 4 * 10**12


def test_a_provider_who_bills_taxes_alone_is_not_compared(tmp_path: Path, book: PriceBook) -> None:
    """Where one provider's bill is a tax line, its calls are beside the invoice; where all bills are, there is nothing to compare."""
    log = audited(calls(), tmp_path / "t", book)
    head, *rows = plain_export(log).splitlines()
    tax = "2026-10-01,anthropic,,2,,,,,2026-12-01,tax"
    text = "\n".join([f"{head},end,kind", *(f"{row},," for row in rows if ",openai," in row), tax])
    found = reconcile(contracted(log, Contract()), read_invoice(_csv(tmp_path, text + "\n"), book))
    assert _exact(found)
    assert (found.pusd("named"), found.pusd("unexplained")) == (2 * 10**12, 0)
    theirs = (log.traffic.frame("provider")["provider"] == "anthropic").to_numpy()
    assert found.beside_pusd == sum(log.spend_pusd[theirs].tolist())
    alone = read_invoice(_csv(tmp_path, f"{head},end,kind\n{tax}\n"), book)
    with pytest.raises(InputError, match=r"an invoice of anthropic and a log of anthropic, openai; .*billed for use or fees"):
        reconcile(contracted(log, Contract()), alone)


def test_a_fee_is_agreed_for_the_days_for_which_it_is_billed(tmp_path: Path, book: PriceBook) -> None:
    """With use of ten days billed beside the month's whole fee, the contract's fee is the whole one, and nothing is unexplained."""
    log = audited(calls(), tmp_path / "t", book)
    file = tmp_path / "c.yaml"
    capacity = "{name: ptu, model: gpt-5.4, usd_per_month: 300, tokens: 1000000000, per: day}"
    file.write_text(f"{HEAD}  - {{provider: openai, source: x, from: 2026-10-01, capacity: [{capacity}]}}\n", "utf-8")
    under = contracted(log, Contract.load(file))
    head, *rows = plain_export(log, under.cost_pusd).splitlines()
    ten = [f"{row},," for row in rows if "2026-11-01" <= row < "2026-11-11"]
    text = "\n".join([f"{head},end,kind", *ten, "2026-11-01,openai,,300,,,,,2026-12-01,fixed fee"])
    found = reconcile(under, read_invoice(_csv(tmp_path, text + "\n"), book))
    assert _exact(found)
    assert found.pusd("unexplained") == 0
    assert found.table.loc[found.table["kind"] == "fixed fee", "contract_usd"].tolist() == [300.0]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_days_that_the_log_lost_are_outside_it(provider: str, tmp_path: Path, book: PriceBook) -> None:
    """Of a bill without usage, what is for three days without a logged call of a busy provider is outside, whoever else was called."""
    frame = calls(4_000)
    frame = frame[frame["timestamp"] >= "2026-11-01"]
    whole = audited(frame, tmp_path / "whole", book)
    text = "\n".join(",".join(row.split(",")[:4]) for row in plain_export(whole).splitlines())
    lost = ((frame["timestamp"] >= "2026-11-10") & (frame["timestamp"] < "2026-11-13") & (frame["provider"] == provider)).to_numpy()
    kept = audited(frame[~lost], tmp_path / "kept", book)
    found = reconcile(contracted(kept, Contract()), read_invoice(_csv(tmp_path, text), book))
    assert _exact(found)
    assert found.pusd("outside") == sum(whole.spend_pusd[lost].tolist())
    assert found.pusd("unexplained") == 0
    assert found.dollars["outside"].evidence == "measured"


def test_quiet_days_of_a_provider_are_not_lost(tmp_path: Path, book: PriceBook) -> None:
    """A provider who is called every fourth day, and is billed a day late, has nothing outside the log and nothing unexplained."""
    frame = calls(2_000)
    frame = frame[frame["timestamp"] >= "2026-11-01"]
    day, mine = frame["timestamp"].dt.day, frame["provider"] == "openai"
    seldom = frame[mine & (day % 4 == 1)].groupby(day, group_keys=False).head(2)
    text = plain_export(audited(seldom, tmp_path / "seldom", book))
    head, *rows = (",".join(row.split(",")[:4]) for row in text.splitlines())
    late = [f"2026-11-{int(row[8:10]) + 1:02}{row[10:]}" for row in rows]
    bill = read_invoice(_csv(tmp_path, "\n".join([head, *late, f"2026-11-01,openai,{rows[0].split(',')[2]},0"])), book)
    found = reconcile(contracted(audited(pd.concat([seldom, frame[~mine]]), tmp_path / "t", book), Contract()), bill)
    assert _exact(found)
    assert (found.pusd("outside"), found.pusd("unexplained")) == (0, 0)


def test_an_old_credit_is_left_to_the_invoice(tmp_path: Path, book: PriceBook) -> None:
    """A credit whose rest nobody stated is what the invoice names it, with the reason, and nothing is unexplained."""
    log = audited(calls(), tmp_path / "t", book)
    file = tmp_path / "c.yaml"
    file.write_text(f"{HEAD}  - {{provider: openai, source: x, from: 2026-01-01, credits: [{{usd: 9}}]}}\n", "utf-8")
    rest = plain_export(log).replace("\n", ",\n").replace("output_tokens,\n", "output_tokens,kind\n")
    bill = read_invoice(_csv(tmp_path, f"{rest}2026-10-01,openai,,-2,,,,,credit\n"), book)
    found = reconcile(contracted(log, Contract.load(file)), bill)
    credit = found.table[found.table["kind"] == "credit"].iloc[0]
    assert (credit["named_usd"], found.pusd("unexplained")) == (-2, 0)
    assert credit["why"].startswith("not taken: $9.00 left on 2026-01-01")


def test_a_sample_says_that_its_error_may_be_all(tmp_path: Path, book: PriceBook) -> None:
    """Beside an invoice a sample's dollars are estimated, and the note says that what it lacks may be its error."""
    log = stored(calls(), tmp_path / "t")
    bill = read_invoice(_csv(tmp_path, plain_export(audit(log, book))), book)
    found = reconcile(contracted(audit(sampled(log, 0.2, tmp_path / "s"), book), Contract()), bill)
    assert _exact(found)
    assert {name: found.dollars[name].evidence for name in ("list", "contract", "invoice")} == {
        "list": "estimated", "contract": "estimated", "invoice": "measured",
    }  # fmt: skip
    assert found.note.endswith("this may be its error alone; reconcile the whole log.")
    assert "The log is a sample" not in reconcile(contracted(audit(log, book), Contract()), bill).text


def test_calls_outside_the_log_count_towards_a_commitment(tmp_path: Path, book: PriceBook) -> None:
    """The shortfall is what was committed less what was used, whoever logged it."""
    frame = calls(400)
    whole = audited(frame, tmp_path / "whole", book)
    bill = read_invoice(_csv(tmp_path, plain_export(whole)), book)
    file = tmp_path / "c.yaml"
    terms = "  - {provider: openai, source: x, from: 2026-10-01, commitments: [{usd: 1000, per: month}]}\n"
    file.write_text(HEAD + terms, "utf-8")
    logs = (whole, audited(frame.iloc[::2], tmp_path / "half", book))
    short = [reconcile(contracted(log, Contract.load(file)), bill).table.query("kind == 'shortfall'") for log in logs]
    own = (frame["provider"] == "openai").to_numpy()
    first, last = min(frame.loc[own, "timestamp"]), max(frame.loc[own, "timestamp"])
    committed = 1_000 * 10**12 * (Fraction(32 - first.day, 31) + Fraction(last.day, 30))
    assert abs(sum(short[0]["contract_pusd"]) + sum(whole.spend_pusd[own].tolist()) - committed) <= 2
    assert sum(short[1]["contract_pusd"]) == pytest.approx(sum(short[0]["contract_pusd"]), abs=10)


def test_an_invoice_without_models_is_compared_by_provider_and_month(tmp_path: Path, book: PriceBook) -> None:
    """Where charges name no model, a provider's month is one row, and the sums are the same."""
    log = audited(calls(), tmp_path / "t", book)
    lines = [line.split(",") for line in plain_export(log).splitlines()]
    text = "\n".join(",".join([*line[:2], "" if i and line[1] == "openai" else line[2], *line[3:]]) for i, line in enumerate(lines))
    found = reconcile(contracted(log, Contract()), read_invoice(_csv(tmp_path, text), book))
    assert _exact(found)
    assert set(found.table.loc[found.table["provider"] == "openai", "model"]) == {"(all models)"}
    assert set(found.table.loc[found.table["provider"] == "anthropic", "model"]) == {"claude-haiku-4-5"}
    assert found.pusd("unexplained") == 0


@settings(max_examples=15, deadline=None)
@given(shuffle=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(shuffle: Random, tmp_path_factory: pytest.TempPathFactory, book: PriceBook) -> None:
    """Shuffled logs and invoices give the same table."""
    here = tmp_path_factory.mktemp("shuffled")
    frame = calls(60)
    head, *rows = plain_export(audited(frame, here / "t", book)).rstrip("\n").split("\n")
    file = here / "contracts.yaml"
    file.write_text(HEAD + CONTRACT, "utf-8")
    kept, found = frame.iloc[5:], []
    for i in range(2):
        bill = read_invoice(_csv(here, "\n".join([head, *rows]), f"b{i}"), book)
        result = reconcile(contracted(audited(kept, here / f"k{i}", book), Contract.load(file)), bill)
        found.append(result.table.to_dict("records"))
        shuffle.shuffle(rows)
        kept = kept.iloc[shuffle.sample(range(len(kept)), len(kept))]
    assert found[0] == found[1]


def test_another_log_is_refused(tmp_path: Path, book: PriceBook) -> None:
    """An invoice of a provider that the log never called is an error and no table of zeros."""
    log = audited(calls(20), tmp_path / "t", book)
    bill = read_invoice(_csv(tmp_path, "date,provider,usd\n2026-10-01,mistral,1\n"), book)
    with pytest.raises(InputError, match="an invoice of mistral and a log of anthropic, openai; expected a provider in both"):
        reconcile(contracted(log, Contract()), bill)


LOG = Logged(1_000, 900, {"input": 100, "cache_read": 0, "cache_write": 0, "output": 50}, {"input": 500, "output": 500}, 10.0)


def test_another_kind_of_the_same_tokens_is_no_missing_call() -> None:
    """A log that took dear fresh input for cached lacks no call, however much more the tokens cost."""
    log = Logged(100, 100, {"cache_read": 100, "output": 50}, {"cache_read": 50, "output": 50})
    assert outside(log, Billed(tokens={"input": 100.0, "output": 50.0}), {"input": 5.0}) == (0, "tokens")
    assert outside(log, Billed(tokens={"input": 100.0, "output": 51.0}), {"input": 5.0}) == (451, "tokens")


@pytest.mark.parametrize(
    ("bill", "price", "found"),
    [
        (Billed(tokens={"input": 110.0, "output": 50.0}), {}, (45, "tokens")),
        (Billed(tokens={"input": 110.0, "output": 60.0}), {}, (135, "tokens")),
        (Billed(tokens={"input": 40.0, "cache_read": 60.0, "output": 50.0}), {"cache_read": 0.5}, (0, "tokens")),
        (Billed(tokens={"input": 100.0, "cache_read": 20.0, "output": 50.0}), {"cache_read": 0.5}, (9, "tokens")),
        (Billed(tokens={"input": 50.0, "output": 25.0}), {}, (0, "tokens")),
        (Billed(tokens={"output": 60.0}), {}, (180, "tokens")),
        (Billed(list_pusd=1_100), {}, (90, "the invoice's own list prices")),
        (Billed(requests=11.0), {}, (90, "requests")),
        (Billed(pusd=5_000), {}, (0, UNKNOWN)),
    ],
)
def test_calls_outside_the_log_by_whatever_is_counted(bill: Billed, price: dict[str, float], found: tuple[int, str]) -> None:
    """Tokens come before list prices and these before requests; another kind of the same tokens is no missing call."""
    assert outside(LOG, bill, price) == found
