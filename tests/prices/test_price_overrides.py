"""A user's own rates: dated, with a source, and refused in one clear sentence when not understood."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from planner.errors import InputError, PriceError
from planner.prices import PriceBook
from planner.schema import EVIDENCE

HEAD = "format: planner.prices\nversion: 1\nrates:\n"
ROW = np.array([[1_000, 100, 0, 0, 100, 0]])


def _book(folder: Path, *rates: str) -> PriceBook:
    file = folder / "contract.yaml"
    file.write_text(HEAD + "".join(f"  - {{{rate}}}\n" for rate in rates), "utf-8")
    return PriceBook.load(file)


def _micro_usd(book: PriceBook, model: str, tier: str, day: dt.date, provider: str | None = None) -> int:
    priced = book.price(provider, model, tier, ROW, day)
    assert priced.reasons == ("",)
    return int(priced.cost_pusd[0]) // 1_000_000


CONTRACT = "provider: openai, model: gpt-5-mini, from: 2026-07-01, source: contract 4711, usd_per_mtok: {input_tokens: 0.2}"


def test_in_force_from_its_date_on_top_of_the_catalogue(tmp_path: Path) -> None:
    """Before its date the catalogue holds; from it on the stated bucket changes and the others stay."""
    book = _book(tmp_path, CONTRACT)
    assert _micro_usd(book, "gpt-5-mini", "standard", dt.date(2026, 6, 30)) == 250 + 2.5 // 1 + 200
    assert _micro_usd(book, "gpt-5-mini", "standard", dt.date(2026, 7, 1)) == 200 + 2.5 // 1 + 200
    assert _micro_usd(book, "gpt-5-mini", "batch", dt.date(2026, 11, 1)) == 125 + 1 + 100
    quote = book.quote("gpt-5-mini")
    assert quote.since == dt.date(2026, 7, 1)
    assert quote.source.startswith("contract 4711 (contract.yaml ")
    assert book.name.startswith("genai-prices ")
    assert "contract.yaml" in book.name


def test_later_rates_follow_earlier_ones(tmp_path: Path) -> None:
    """Two dated rates of one model hold one after the other, whatever their order in the file."""
    later = CONTRACT.replace("2026-07-01", "2026-09-01").replace("0.2", "0.1")
    book = _book(tmp_path, later, CONTRACT)
    days = [dt.date(2026, 6, 1), dt.date(2026, 8, 1), dt.date(2026, 10, 1)]
    assert [book.quote("gpt-5-mini", at=d).usd_per_mtok["input_tokens"] for d in days] == [0.25, 0.2, 0.1]


def test_names_as_logs_spell_them(tmp_path: Path) -> None:
    """An override may name provider and model as a log does; it changes that provider's price alone."""
    book = _book(tmp_path, CONTRACT.replace("openai", "azure_openai"))
    assert book.quote("gpt-5-mini", "azure").usd_per_mtok["input_tokens"] == 0.2
    assert book.quote("gpt-5-mini", "openai").usd_per_mtok["input_tokens"] == 0.25


def test_a_tier_the_catalogue_lacks(tmp_path: Path) -> None:
    """An added tier starts from the standard rates, and only from its date."""
    book = _book(tmp_path, CONTRACT.replace("model: gpt-5-mini", "model: gpt-5-mini, tier: batch").replace("openai", "azure"))
    assert _micro_usd(book, "gpt-5-mini", "batch", dt.date(2026, 7, 1), "azure") == 200 + 2 + 200
    early = book.price("azure", "gpt-5-mini", "batch", ROW, dt.date(2026, 6, 30))
    assert "no batch rate for gpt-5-mini of azure before 2026-07-01" in early.reasons[1]


def test_an_earlier_start_of_a_tier_the_catalogue_has(tmp_path: Path) -> None:
    """An override can supply batch rates for the time before the catalogue's begin."""
    both = "{input_tokens: 0.125, cache_read_tokens: 0.0125, output_tokens: 1}"
    book = _book(tmp_path, CONTRACT.replace("model: gpt-5-mini", "model: gpt-5-mini, tier: batch").replace("{input_tokens: 0.2}", both))
    assert _micro_usd(book, "gpt-5-mini", "batch", dt.date(2026, 7, 1)) == 125 + 1 + 100
    assert book.price(None, "gpt-5-mini", "batch", ROW, dt.date(2026, 6, 30)).reason[0] == 1


def test_a_model_the_catalogue_does_not_know(tmp_path: Path) -> None:
    """A new model has prices from its date; cache reads without a rate cost like input; its window is passed on."""
    rate = "provider: acme, model: Acme-1, from: 2026-07-01, source: their list, usd_per_mtok: {input_tokens: 1, output_tokens: 2}"
    book = _book(tmp_path, f"{rate}, context_window: 64000, evidence: assumed")
    assert _micro_usd(book, "acme-1", "standard", dt.date(2026, 7, 1)) == 1_000 + 100 + 200
    assert book.resolve("acme/acme-1") == ("acme", "acme-1")
    assert book.context_window("acme-1") == 64_000
    assert EVIDENCE[book.price("acme", "acme-1", "standard", ROW, dt.date(2026, 8, 1)).evidence[0]] == "assumed"
    assert "before 2026-07-01" in book.price("acme", "acme-1", "standard", ROW, dt.date(2026, 6, 1)).reasons[1]
    with pytest.raises(PriceError, match="Did you mean 'acme-1'"):
        book.resolve("acme-2", "acme")


def test_context_tiers(tmp_path: Path) -> None:
    """A repricing above a number of input tokens applies to the whole request."""
    book = _book(tmp_path, f"{CONTRACT}, above_input_tokens: {{1099: {{input_tokens: 0.4}}}}")
    assert _micro_usd(book, "gpt-5-mini", "standard", dt.date(2026, 7, 1)) == 400 + 2 + 200


def test_the_name_changes_with_the_bytes(tmp_path: Path) -> None:
    """Two files with other rates give books with other names, so that Summaries tell them apart."""
    assert _book(tmp_path, CONTRACT).name != _book(tmp_path, CONTRACT.replace("0.2", "0.3")).name


BAD = [
    (CONTRACT.replace(", source: contract 4711", ""), "rate 1: no source; expected every rate with its start date"),
    (CONTRACT.replace(", from: 2026-07-01", ""), "rate 1: no from;"),
    (CONTRACT.replace("2026-07-01", "soon"), "rate 1: from 'soon'; expected a date like 2026-07-01"),
    (CONTRACT.replace("contract 4711", "''"), "rate 1: source ''"),
    (CONTRACT.replace("input_tokens: 0.2", "input_tokens: -1"), "rate 1: input_tokens -1; expected a price in USD per million"),
    (CONTRACT.replace("input_tokens: 0.2", "input_tokens: .nan"), "rate 1: input_tokens nan"),
    (CONTRACT.replace("input_tokens: 0.2", "input_tokens: yes"), "rate 1: input_tokens True"),
    (CONTRACT.replace("input_tokens: 0.2", "input_token: 0.2"), "rate 1: 'input_token'; .*Did you mean 'input_tokens'"),
    (CONTRACT.replace("{input_tokens: 0.2}", "{}"), "rate 1: no rate"),
    (CONTRACT + ", tier: turbo", "rate 1: tier 'turbo'; expected one of standard, batch"),
    (CONTRACT + ", teir: batch", "rate 1: 'teir'; .*Did you mean 'tier'"),
    (CONTRACT + ", evidence: sure", "rate 1: evidence 'sure'; expected one of measured, assumed"),
    (CONTRACT + ", above_input_tokens: {many: {input_tokens: 1}}", "above_input_tokens 'many'"),
    (CONTRACT + ", above_input_tokens: {9: {output_tokens: 1}}", "output_tokens above 9 tokens only"),
]


@pytest.mark.parametrize(("rate", "match"), BAD)
def test_what_is_not_understood_is_refused(tmp_path: Path, rate: str, match: str) -> None:
    """Each mistake in a rate is one sentence with its place in the list and what would be right."""
    with pytest.raises(InputError, match=match):
        _book(tmp_path, rate)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("rates: [", r"bad.yaml: while parsing .*; expected YAML"),
        ("- 1\n", "bad.yaml: list; expected a mapping"),
        ("format: planner.plan\nversion: 1\n", "expected a planner.prices file"),
        ("format: planner.prices\nversion: 2\nrates: []\n", "newer planner"),
        ("format: planner.prices\nversion: 1\n", "expected format, version and a list called rates"),
        ("format: planner.prices\nversion: 1\nrates: [7]\n", "rate 1: 7; expected a mapping"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, match: str) -> None:
    """A file that is not ours, newer, or not YAML is refused in one sentence."""
    (tmp_path / "bad.yaml").write_text(text, "utf-8")
    with pytest.raises(InputError, match=match):
        PriceBook.load(tmp_path / "bad.yaml")


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there says so."""
    with pytest.raises(InputError, match=r"none.yaml: No such file"):
        PriceBook.load(tmp_path / "none.yaml")
