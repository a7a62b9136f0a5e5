"""Invoices: each export read to the pico-dollar as its owner writes it, and what is no charge set aside with a reason."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.prices import Invoice, PriceBook, read_invoice
from planner.prices.invoice_cells import RefusedError, count, dollars
from planner.prices.invoice_names import Models, token_kind

OPENAI_COSTS = """start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,quantity_unit,line_item,project_id
1793491200,1793577600,2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,,,,,,
1793577600,1793664000,,,0.500000000000123456789,usd,1000,tokens,"gpt-5-mini-2025-08-07, input",p
1793577600,1793664000,2026-11-02T00:00:00Z,2026-11-03T00:00:00Z,0.25,usd,2,1K tokens,"gpt-5-mini-2025-08-07, cached input",p
1793577600,1793664000,2026-11-02T00:00:00Z,2026-11-03T00:00:00Z,1,usd,7,calls,web search tool calls,p
1793577600,1793664000,2026-11-02T00:00:00Z,2026-11-03T00:00:00Z,1,eur,,,"gpt-5-mini, output",p
"""
OPENAI_USAGE = """start_time,end_time,start_time_iso,end_time_iso,num_model_requests,model,input_tokens,output_tokens,input_cached_tokens
1793577600,1793664000,2026-11-02T00:00:00Z,2026-11-03T00:00:00Z,10.0,gpt-5-mini-2025-08-07,59200.0,10646.0,5760.0
1793577600,1793664000,2026-11-02T00:00:00Z,2026-11-03T00:00:00Z,1.0,gpt-5-mini-2025-08-07,10.0,1.0,11.0
1793664000,1793750400,2026-11-03T00:00:00Z,2026-11-04T00:00:00Z,,,,,
"""
ANTHROPIC_COSTS = """usage_date_utc,model,workspace,api_key,usage_type,token_type,cost_usd,list_price_usd,cost_type,inference_geo
2026-11-04,Claude Haiku 4.5,Default,k,message,input_no_cache,0.05,0.05,token,not_available
2026-11-05,Claude Sonnet 4.5,Default,k,message,input_cache_read,0.10,1.00,token,not_available
2026-11-05,,Default,k,,,0.02,0.02,web_search,not_available
August,Claude Sonnet 4.5,Default,k,message,output,0.10,1.00,token,not_available
"""
ANTHROPIC_USAGE = (
    "usage_date_utc,model_version,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,"
    "usage_input_tokens_cache_read,usage_output_tokens\n2026-11-04,claude-haiku-4-5-20251001,100,20,3,40,7\n"
)
FOCUS = (
    "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceName,ProviderName,"
    "SkuId,x_SkuMeterName,ConsumedQuantity,ConsumedUnit,CommitmentDiscountStatus\n"
    "0,8,12,10,USD,2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,Usage,Azure OpenAI,Microsoft,s1,gpt 5 mini inp glbl Tokens,40,1K Tokens,\n"
    "2,2,2,2,USD,2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,Usage,Azure OpenAI,Microsoft,s2,gpt 5 mini Outp glbl Tokens,3,1M Tokens,\n"
    "30,0,30,30,USD,2026-11-01T00:00:00Z,2026-12-01T00:00:00Z,Purchase,Azure OpenAI,Microsoft,s3,PTU month,1,Units,\n"
    "0,4,4,4,USD,2026-11-01T00:00:00Z,2026-12-01T00:00:00Z,Usage,Azure OpenAI,Microsoft,s3,PTU month,1,Units,Unused\n"
    "-5,-5,0,0,USD,2026-11-01T00:00:00Z,2026-12-01T00:00:00Z,Credit,Azure OpenAI,Microsoft,,,,,\n"
    "7,7,7,7,USD,2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,Usage,Virtual Machines,Microsoft,vm,D2s v5,24,Hours,\n"
    "7,7,7,7,USD,2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,Nonsense,Azure OpenAI,Microsoft,s1,gpt 5 mini inp,24,Hours,\n"
)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Load the bundled catalogue."""
    return PriceBook.load()


def _write(folder: Path, **files: str) -> list[Path]:
    paths = []
    for name, text in files.items():
        paths.append(folder / f"{name}.csv")
        paths[-1].write_text(text, "utf-8")
    return paths


def _adds_up(invoice: Invoice) -> bool:
    return invoice.counts["rows"] == sum(n for name, n in invoice.counts.items() if name != "rows") and invoice.counts[
        "quarantined"
    ] == len(invoice.quarantine)


def test_openai_costs(tmp_path: Path, book: PriceBook) -> None:
    """Line items become models and kinds of token, thirty digits become pico-dollars, an empty day charges nothing."""
    found = read_invoice(_write(tmp_path, a=OPENAI_COSTS), book)
    assert found.table["model"].tolist() == ["gpt-5-mini", "gpt-5-mini", ""]
    assert found.table["pusd"].tolist() == [500_000_000_000, 250_000_000_000, 10**12]
    assert (found.table["input"].tolist()[0], found.table["cache_read"].tolist()[1]) == (1000, 2000)
    assert found.table["sku"].iloc[2] == "web search tool calls"
    assert set(found.table["start"]) == {dt.date(2026, 11, 2)}
    assert dict(found.counts) == {"rows": 5, "charges": 3, "empty": 1, "of other services": 0, "quarantined": 1}
    assert found.quarantine["reason"].tolist() == ["another currency than USD"]
    assert "1 rows, another currency than USD" in found.text


def test_openai_usage_beside_costs_is_not_counted_twice(tmp_path: Path, book: PriceBook) -> None:
    """Cached input is taken out of input; a usage file replaces the counts of a cost file and adds no dollar."""
    alone = read_invoice(_write(tmp_path, usage=OPENAI_USAGE), book)
    row = alone.table.iloc[0]
    assert (row["input"], row["cache_read"], row["output"], row["requests"], row["pusd"]) == (53_440, 5_760, 10_646, 10, 0)
    assert alone.quarantine["reason"].tolist() == ["more cached input tokens than input tokens"]
    both = read_invoice(_write(tmp_path, costs=OPENAI_COSTS, usage=OPENAI_USAGE), book)
    assert both.pusd == 1_750_000_000_000
    assert both.table["input"].sum() == 53_440
    assert both.table["cache_read"].sum() == 5_760
    assert _adds_up(both)


def test_anthropic_exports(tmp_path: Path, book: PriceBook) -> None:
    """Display names become model ids, list prices are kept, a web search is no model, tokens come by kind."""
    found = read_invoice(_write(tmp_path, costs=ANTHROPIC_COSTS), book)
    assert list(zip(found.table["model"], found.table["sku"], strict=True)) == [
        ("claude-haiku-4-5", "Claude Haiku 4.5"),
        ("claude-sonnet-4-5", "Claude Sonnet 4.5"),
        ("", "web_search"),
    ]
    assert found.table["list_pusd"].tolist() == [50_000_000_000, 10**12, 20_000_000_000]
    assert found.quarantine[["line", "reason"]].values.tolist() == [[5, "usage_date_utc is no date"]]
    usage = read_invoice(_write(tmp_path, usage=ANTHROPIC_USAGE), book).table.iloc[0]
    assert [usage[k] for k in ("model", "input", "cache_read", "cache_write", "output")] == ["claude-haiku-4-5", 100, 40, 23, 7]


def test_focus(tmp_path: Path, book: PriceBook) -> None:
    """Meters become models, categories kinds, other services are left out; effective spreads a fee, billed keeps it."""
    effective, billed = (read_invoice(_write(tmp_path, f=FOCUS), book, cost=cost) for cost in ("effective", "billed"))
    assert effective.table["kind"].tolist() == ["calls", "calls", "fixed fee", "shortfall", "credit"]
    assert effective.table["model"].tolist() == ["gpt-5-mini", "gpt-5-mini", "", "", ""]
    assert set(effective.table["provider"]) == {"azure"}
    assert [x // 10**12 for x in effective.table["pusd"]] == [8, 2, 0, 4, -5]
    assert [x // 10**12 for x in billed.table["pusd"]] == [0, 2, 30, 0, -5]
    assert (effective.table["input"].iloc[0], effective.table["output"].iloc[1]) == (40_000, 3_000_000)
    assert (effective.cost, billed.cost) == ("effective", "billed")
    assert [x // 10**12 for x in effective.table["contracted_pusd"]] == [10, 2, 30, 4, 0]
    assert dict(effective.counts) == {"rows": 7, "charges": 5, "empty": 0, "of other services": 1, "quarantined": 1}
    assert effective.table["end"].iloc[2] == dt.date(2026, 12, 1)


def test_what_is_not_effective_is_called_billed(tmp_path: Path, book: PriceBook) -> None:
    """A FOCUS export without effective costs is billed, one with some is counted, and so is any other export: it states what was billed."""
    head, *rows = FOCUS.splitlines()
    bare = "\n".join(",".join(cells[:1] + cells[2:]) for cells in (line.split(",") for line in (head, *rows))) + "\n"
    without = read_invoice(_write(tmp_path, bare=bare), book)
    assert (without.cost, [x // 10**12 for x in without.table["pusd"]]) == ("billed", [0, 2, 30, 0, -5])
    mixed = read_invoice(_write(tmp_path, mixed="\n".join([head, rows[0].replace("0,8,", "3,,", 1), *rows[1:]]) + "\n"), book)
    assert mixed.cost == "effective, of 1 in 5 charges billed"
    assert f"${3 + 2 + 0 + 4 - 5:.2f} effective, of 1 in 5 charges billed (measured)" in mixed.text
    assert read_invoice(_write(tmp_path, costs=OPENAI_COSTS), book).cost == "billed"
    both = read_invoice(_write(tmp_path, focus=FOCUS, costs=OPENAI_COSTS, usage=OPENAI_USAGE), book)
    assert both.cost == "effective, of 3 in 8 charges billed"


GERMAN = "date;provider;usd;requests\n2026-11-01;openai;0,132;10\n2026-11-02;openai;1,250;10\n2026-11-03;openai;7;10\n"


@pytest.mark.parametrize(
    ("text", "pusd", "aside"),
    [
        (GERMAN, 7, 2),
        (GERMAN.replace(";", "\t"), 7, 2),
        (GERMAN.replace(";7;", ";1.250;"), None, 3),
        (GERMAN.replace(";7;", ";1.5;"), 1.5, 2),
        (GERMAN.replace("0,132", "0.132"), 7.132, 1),
        (GERMAN.replace("0,132", "0.132").replace("1,250", "1,250.50"), 1257.632, 0),
        ('date,provider,usd,requests\n2026-11-01,openai,"0,132",1\n2026-11-02,openai,"1,250",1\n2026-11-03,openai,7,1\n', 7, 2),
        ('date,provider,usd,requests\n2026-11-01,openai,"12,5",1\n2026-11-03,openai,7,"1,250"\n2026-11-03,openai,7,1\n', 7, 2),
        ('date,provider,usd,requests\n2026-11-01,openai,"1,250",1\n2026-11-03,openai,7,"1,250"\n', 1257, 0),
    ],
)
def test_a_decimal_comma_is_never_read_as_thousands(text: str, pusd: float | None, aside: int, tmp_path: Path, book: PriceBook) -> None:
    """What may have a decimal comma is set aside with the reason, in amounts and counts alike; a comma that only groups is read."""
    paths = _write(tmp_path, a=text)
    if pusd is None:
        with pytest.raises(InputError, match=r"no row that can be used \(a number with a decimal comma"):
            read_invoice(paths, book)
        return
    found = read_invoice(paths, book)
    assert found.pusd == round(pusd * 10**12)
    assert found.quarantine["reason"].tolist() == ["a number with a decimal comma, or that may have one: write 1234.5"] * aside
    assert _adds_up(found)


POINTS = (
    "date;provider;usd;requests;note\n2026-11-01;openai;12.345;1;ok\n2026-11-02;openai;1000.125;2;NOTE\n2026-11-03;openai;15.250;3;ok\n"
)


@pytest.mark.parametrize(
    ("text", "pusd", "aside"),
    [
        (POINTS.replace("NOTE", "0,5 seats"), 1027.72, 0),
        (POINTS.replace("NOTE", "2,5"), 1027.72, 0),
        (POINTS.replace("ok", "1,5").replace("NOTE", "2,5"), 1027.72, 0),
        (POINTS.replace(";2;NOTE", ";2,5;"), 27.595, 1),
        (POINTS.replace(";2;NOTE", ";2,5;").replace("1000.125", "7"), None, 3),
        (POINTS.replace(";2;NOTE", ";2,5;").replace("1000.125", "7").replace("12.345", "12.34"), 27.59, 1),
        (POINTS.replace("1000.125", "1000,125"), None, 3),
        (POINTS.replace(";", ",").replace("NOTE", '"2,5"'), 1027.72, 0),
    ],
)
def test_each_column_of_numbers_says_for_itself_what_a_comma_is(
    text: str, pusd: float | None, aside: int, tmp_path: Path, book: PriceBook
) -> None:
    """A comma in a note decides nothing; one in a count leaves amounts with decimal points alone, and sets aside those that may not."""
    columns = {"date": "date", "provider": "provider", "usd": "usd", "requests": "requests"}
    for mapped in (None, columns):
        if pusd is None:
            with pytest.raises(InputError, match=r"no row that can be used \(a number with a decimal comma"):
                read_invoice(_write(tmp_path, a=text), book, columns=mapped)
            continue
        found = read_invoice(_write(tmp_path, a=text), book, columns=mapped)
        assert found.pusd == round(pusd * 10**6) * 10**6
        assert found.counts["quarantined"] == aside
        assert _adds_up(found)


@pytest.mark.parametrize("text", [OPENAI_COSTS, OPENAI_USAGE, ANTHROPIC_COSTS, ANTHROPIC_USAGE, FOCUS])
def test_every_column_that_is_read_as_a_number_may_have_a_decimal_comma(text: str, tmp_path: Path, book: PriceBook) -> None:
    """Wherever a cell with a decimal comma makes a row unreadable, the reason given is the comma: no column of an export is forgotten."""
    lines = [line.split(",") for line in text.replace('"gpt-5-mini-2025-08-07, ', '"gpt-5-mini ').splitlines()]
    head, first = lines[0], lines[3 if text == OPENAI_COSTS else 1]
    reasons = {}
    for i, name in enumerate(head):
        wrong = [*first[:i], '"0,132"', *first[i + 1 :]]
        found = read_invoice(_write(tmp_path, a="\n".join(map(",".join, (head, first, wrong)))), book)
        reasons[name] = " ".join(found.quarantine["reason"])
    assert "a number with a decimal comma, or that may have one: write 1234.5" in reasons.values()
    assert not [(name, reason) for name, reason in reasons.items() if reason.endswith(("is no amount", "is no count"))]


def test_the_same_export_under_two_names_is_refused(tmp_path: Path, book: PriceBook) -> None:
    """A copy, and an export that overlaps another by a day, are refused with both places; other days and accounts are summed."""
    head, *rows = "date,provider,usd,account", "2026-11-01,openai,1,x", "2026-11-02,openai,2,x", "2026-11-03,openai,0,x"

    def bills(**files: list[str]) -> list[Path]:
        return _write(tmp_path, **{name: "\n".join([head, *lines]) + "\n" for name, lines in files.items()})

    with pytest.raises(InputError, match=r"b\.csv, line 2: the same charge as a\.csv, line 2 \(2 such lines\)"):
        read_invoice(bills(a=rows, b=rows), book)
    with pytest.raises(
        InputError, match=r"b\.csv, line 2: the same charge as a\.csv, line 3 \(1 such lines\).*a column that tells them apart"
    ):
        read_invoice(bills(a=rows, b=rows[1:]), book)
    assert read_invoice(bills(a=rows[:1] * 2, b=rows[1:]), book).pusd == 4 * 10**12
    assert read_invoice(bills(a=rows, b=[row.replace(",x", ",y") for row in rows]), book).pusd == 6 * 10**12
    with pytest.raises(InputError, match="the same charge as"):
        read_invoice(_write(tmp_path, u=OPENAI_USAGE, v=OPENAI_USAGE), book)
    mapped = {"date": "date", "usd": "usd", "provider": "provider"}
    assert read_invoice(bills(a=rows, b=[row.replace(",x", ",y") for row in rows]), book, columns=mapped).pusd == 6 * 10**12
    with pytest.raises(InputError, match="the same charge as"):
        read_invoice(bills(a=rows, b=rows), book, columns=mapped)


@pytest.mark.parametrize(
    ("provider", "text", "model"),
    [
        ("azure", "gpt-4o-0806-Inp-glbl Tokens", "gpt-4o"),
        ("azure", "GPT 4o mini cached Inp Data Zone", "gpt-4o-mini"),
        ("aws", "Claude Haiku 4.5 (Amazon Bedrock Edition)", "claude-haiku-4-5"),
        ("aws", "USE1-NovaLite-input-tokens", "nova-lite"),
        ("google", "Gemini 2.5 Flash GA Text Input - Predictions", "gemini-2.5-flash"),
        ("google", "Gemini 2.5 Flash Lite Text Output - Predictions", "gemini-2.5-flash-lite"),
        ("openai", "gpt-5-mini-2025-08-07, input", "gpt-5-mini"),
        ("openai", "gpt-5.4", "gpt-5.4"),
        ("openai", "4.5 gpt", ""),
        ("openai", "GPT-5.99, output", ""),
        ("anthropic", "claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("openai", "PTU month", ""),
        ("openai", "", ""),
    ],
)
def test_models_in_texts(provider: str, text: str, model: str, book: PriceBook) -> None:
    """A text names the model whose words stand in it, the longest of several, and none where none do."""
    assert Models(book).find(provider, text) == model


def test_the_users_own_name_of_a_model_wins(tmp_path: Path, book: PriceBook) -> None:
    """A SKU that says too little means what the user says it means."""
    text = "date,provider,usd,model\n2026-11-01,openai,1,prod-chat\n"
    assert read_invoice(_write(tmp_path, a=text), book).table["model"].tolist() == [""]
    assert read_invoice(_write(tmp_path, a=text), book, models={"prod-chat": "gpt-5-mini-2025-08-07"}).table["model"].tolist() == [
        "gpt-5-mini"
    ]


def test_any_columns_by_mapping(tmp_path: Path, book: PriceBook) -> None:
    """Columns and constants of another layout are named once; semicolons and a byte order mark are no obstacle."""
    text = "\ufeffDay;Amount;What\n2026-11-01;1,234.50;gpt-5-mini\n2026-11-02;-0.5;gpt-5-mini\n"
    found = read_invoice(_write(tmp_path, a=text), book, columns={"date": "Day", "usd": "amount", "provider": "=openai", "model": "What"})
    assert found.pusd == 1_234 * 10**12
    assert found.table["model"].tolist() == ["gpt-5-mini"] * 2


@pytest.mark.parametrize(
    ("mapping", "match"),
    [
        ({"date": "Day", "usd": "Amount"}, "columns without provider"),
        ({"date": "Dya", "usd": "Amount", "provider": "=x"}, "no column 'Dya'.*Did you mean 'day'"),
        ({"dat": "Day"}, "column 'dat' of ours.*Did you mean 'date'"),
    ],
)
def test_a_wrong_mapping_is_named(mapping: dict[str, str], match: str, tmp_path: Path, book: PriceBook) -> None:
    """A mapping that names no column, or none of ours, is refused with the nearest."""
    with pytest.raises(InputError, match=match):
        read_invoice(_write(tmp_path, a="Day,Amount\n2026-11-01,1\n"), book, columns=mapping)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("foo,bar\n1,2\n", "columns foo, bar; expected those of a known export"),
        ("", "first line names each column once"),
        ("date,date,provider,usd\n", "first line names each column once"),
        ("date,provider,usd\n", "no row that can be used"),
        ("date,provider,usd\n2026-11-01,openai,abc\n", r"no row that can be used \(usd is no amount\)"),
    ],
)
def test_what_is_no_export_is_refused(text: str, match: str, tmp_path: Path, book: PriceBook) -> None:
    """A file of which nothing can be used is an error that says what was expected."""
    with pytest.raises(InputError, match=match):
        read_invoice(_write(tmp_path, a=text), book)


def test_files_that_cannot_be_read(tmp_path: Path, book: PriceBook) -> None:
    """A missing file, bytes that are no text, one name twice, an unknown cost: one sentence each."""
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    for paths, match in ((["none.csv"], "readable CSV"), ([tmp_path / "b.csv"], "not UTF-8")):
        with pytest.raises(InputError, match=match):
            read_invoice(paths, book)
    (file,) = _write(tmp_path, a=OPENAI_COSTS)
    with pytest.raises(InputError, match="every file once"):
        read_invoice([file, file], book)
    with pytest.raises(InputError, match="one of effective, billed"):
        read_invoice(file, book, cost="amortised")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=9))
def test_amounts_are_exact(value: Decimal) -> None:
    """Any amount of at most twelve digits behind the point is kept exactly, however it is written."""
    for text in (f"{value:f}", f"{value:,f}", f" {value:f} ", f"{value:e}" if value else "0"):
        assert dollars(text, "x") == int(value * 10**12)


@pytest.mark.parametrize(
    "text", ["nan", "inf", "1.234,56", "0,132", "012,500", "1,2,3", "1e99", "--1", "1 2", "$", "0x1", "1e+999999999", "٣"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    """Neither infinities nor other locales become money."""
    with pytest.raises(RefusedError):
        dollars(text, "x")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.sampled_from(
        [OPENAI_COSTS, OPENAI_USAGE, ANTHROPIC_COSTS, ANTHROPIC_USAGE, FOCUS, "date,provider,usd,model\n2026-11-01,openai,1,gpt-5\n"]
    ),
    data=st.data(),
)
def test_malformed_rows_are_counted_and_never_crash(text: str, data: st.DataObject, tmp_path: Path, book: PriceBook) -> None:
    """Whatever is written into cells or behind the file, every row is a charge or set aside with a reason, and counts add up."""
    head, *rows = text.rstrip("\n").split("\n")
    cells = rows[-1].split(",")
    for _ in range(data.draw(st.integers(0, 3))):
        cells[data.draw(st.integers(0, len(cells) - 1))] = data.draw(
            st.one_of(st.text(max_size=12), st.sampled_from(["", "NaN", "-1", "1e309", '"', "9999999999999", "0001-01-01", "2026-11-31"]))
        )
    tail = data.draw(st.text(max_size=40))
    path = tmp_path / "a.csv"
    path.write_bytes("\n".join([head, *rows, ",".join(cells), tail]).encode("utf-8", "replace"))
    try:
        found = read_invoice(path, book)
    except InputError:
        return
    assert _adds_up(found)
    assert (found.quarantine["reason"] != "").all()
    assert len(found.table) == found.counts["charges"]
    assert (found.table["start"] < found.table["end"]).all()
    assert all(isinstance(x, int) for x in found.table["pusd"])


@pytest.mark.parametrize("text", ["12,5", "0,132", "1,2", "1_000", "nan", "-1", "1.2.3"])
def test_what_is_no_count_is_refused(text: str) -> None:
    """A count has no comma but between groups of three, no sign and no second point."""
    with pytest.raises(RefusedError):
        count(text, "x")
    assert count("1,200.0", "x") == 1_200


def test_kinds_of_token() -> None:
    """No cache is input, a write is no read, reasoning is output."""
    words = {
        "input_no_cache": "input",
        "input_cache_write_5m": "cache_write",
        "cache_creation": "cache_write",
        "reasoning": "output",
        "x": "",
    }
    assert {text: token_kind(text) for text in words} == words


def test_unknown_counts_stay_unknown(tmp_path: Path, book: PriceBook) -> None:
    """An export that counts nothing has no zeros where nobody counted."""
    found = read_invoice(_write(tmp_path, a="date,provider,usd\n2026-11-01,openai,1\n"), book).table.iloc[0]
    assert all(math.isnan(found[name]) for name in ("input", "cache_read", "cache_write", "output", "requests"))
