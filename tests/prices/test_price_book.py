"""The price book: golden costs worked out by hand, and every way in which a price can be missing."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError, PriceError
from planner.prices import PriceBook, on_date
from planner.schema import EVIDENCE, TOKEN_BUCKETS
from planner.traffic.rows import Coded

NOVEMBER = dt.date(2026, 11, 1)
SEPTEMBER = dt.date(2026, 9, 1)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Load the bundled catalogue."""
    return PriceBook.load()


# input, cache read, cache write 5 m, cache write 1 h, output, reasoning
GOLDEN = [
    # 1000 × 0.25 + 400 × 0.025 + 300 × 2 + 200 × 2 = 250 + 10 + 600 + 400
    ("openai", "gpt-5-mini", "standard", [1_000, 400, 0, 0, 300, 200], 1_260),
    # half of it
    ("openai", "gpt-5-mini", "batch", [1_000, 400, 0, 0, 300, 200], 630),
    # 1000 × 0.45 + 400 × 0.045 + 500 × 3.6
    ("openai", "gpt-5-mini", "priority", [1_000, 400, 0, 0, 300, 200], 2_268),
    # 1000 × 1 + 500 × 0.1 + 200 × 1.25 + 100 × 2 + 300 × 5
    ("anthropic", "claude-haiku-4-5", "standard", [1_000, 500, 200, 100, 300, 0], 3_000),
    ("anthropic", "claude-haiku-4-5", "batch", [1_000, 500, 200, 100, 300, 0], 1_500),
    # 100000 × 3 + 100000 × 0.3 + 10 × 15: exactly 200000 input tokens stay in the lower context tier
    ("anthropic", "claude-sonnet-4-5", "standard", [100_000, 100_000, 0, 0, 10, 0], 330_150),
    # one more token, and all of them are repriced: 100001 × 6 + 100000 × 0.6 + 10 × 22.5
    ("anthropic", "claude-sonnet-4-5", "standard", [100_001, 100_000, 0, 0, 10, 0], 660_231),
    # 1000 × 1.25 + 1000 × 0.125 + 100 × 10 + 100 × 10
    ("google", "gemini-2.5-pro", "standard", [1_000, 1_000, 0, 0, 100, 100], 3_375),
    # no cache rate in the catalogue: reads cost like input, 2000 × 2 + 100 × 6
    ("mistral", "mistral-large-latest", "standard", [1_000, 1_000, 0, 0, 100, 0], 4_600),
    # 1000 × 3 + 100 × 15
    ("x-ai", "grok-4", "standard", [1_000, 0, 0, 0, 100, 0], 4_500),
    # 1000 × 0.59 + 100 × 0.79
    ("groq", "llama-3.3-70b-versatile", "standard", [1_000, 0, 0, 0, 100, 0], 669),
    # 1000 × 0.06 + 1000 × 0.015 + 100 × 0.24
    ("aws", "amazon.nova-lite-v1:0", "standard", [1_000, 1_000, 0, 0, 100, 0], 99),
    # Azure sells OpenAI's at OpenAI's rates: 1000 × 0.15 + 100 × 0.6
    ("azure", "gpt-4o-mini", "standard", [1_000, 0, 0, 0, 100, 0], 210),
    # 1000 × 2.5 + 100 × 10
    ("cohere", "command-r-plus", "standard", [1_000, 0, 0, 0, 100, 0], 3_500),
    # 1000 × 1 + 100 × 1, and 12 USD per thousand requests = 12000 µUSD
    ("perplexity", "sonar", "standard", [1_000, 0, 0, 0, 100, 0], 13_100),
    ("openrouter", "openai/gpt-5-mini", "standard", [1_000, 400, 0, 0, 300, 200], 1_260),
]


@pytest.mark.parametrize(("provider", "model", "tier", "tokens", "micro_usd"), GOLDEN)
def test_golden(book: PriceBook, provider: str, model: str, tier: str, tokens: list[int], micro_usd: int) -> None:
    """One request per provider costs what pencil and paper say, to the pico-USD."""
    priced = book.price(provider, model, tier, np.array([tokens]), NOVEMBER)
    assert priced.reasons == ("",)
    assert priced.cost_pusd.tolist() == [micro_usd * 1_000_000]


def test_daily_windows(book: PriceBook) -> None:
    """DeepSeek's day and night rates follow the UTC time of day, bounds included."""
    times = np.array(["2026-11-01T00:29:59", "2026-11-01T00:30", "2026-11-01T16:29:59", "2026-11-01T16:30"], "datetime64[us]")
    priced = book.price("deepseek", "deepseek-chat", "standard", np.tile([1_000, 0, 0, 0, 0, 0], (4, 1)), times)
    assert (priced.cost_pusd // 1_000_000).tolist() == [135, 270, 270, 135]


def test_start_dates(book: PriceBook) -> None:
    """A price that changes on a date changes at UTC midnight of it."""
    times = pd.to_datetime(["2026-08-16T23:30Z", "2026-08-17T00:00Z", "2026-09-09T23:30Z", "2026-09-10T00:00Z"]).to_series()
    priced = book.price("deepseek", "deepseek-v4-flash", "standard", np.tile([1_000, 0, 0, 0, 0, 0], (4, 1)), times)
    assert (priced.cost_pusd // 1_000_000).tolist() == [140, 220, 220, 150]


def test_batch_before_its_rates_begin_is_no_price_and_not_standard(book: PriceBook) -> None:
    """The catalogue would silently charge standard for batch before 2026-10-14; here the row has a reason and no cost."""
    priced = book.price("openai", "gpt-5-mini", "batch", np.array([[1_000, 0, 0, 0, 0, 0]]), SEPTEMBER)
    assert priced.cost_pusd.tolist() == [0]
    assert priced.reasons[priced.reason[0]].startswith("no batch rate for gpt-5-mini of openai before 2026-10-14 in genai-prices")
    with pytest.raises(PriceError, match="no batch rate for gpt-5-mini of openai before 2026-10-14"):
        book.quote("gpt-5-mini", tier="batch", at=SEPTEMBER)


def test_stated_assumption_prices_early_batch_and_says_assumed() -> None:
    """With the assumption stated, early batch pays the first known batch rate, marked assumed; the rest stays measured."""
    book = PriceBook.load(assume_tier_before_start=True)
    times = np.array(["2026-09-01", "2026-11-01", "2026-09-01"], "datetime64[us]")
    priced = book.price("openai", "gpt-5-mini", ["batch", "batch", "standard"], np.tile([1_000, 0, 0, 0, 0, 0], (3, 1)), times)
    assert (priced.cost_pusd // 1_000_000).tolist() == [125, 125, 250]
    assert [EVIDENCE[e] for e in priced.evidence] == ["assumed", "measured", "measured"]
    assert "assumed" in book.name
    assert book.quote("gpt-5-mini", tier="batch", at=SEPTEMBER).evidence == "assumed"


def test_tier_without_any_rate(book: PriceBook) -> None:
    """A tier that a provider's model does not have is a reason, also where a cloud resells a model that has it elsewhere."""
    priced = book.price(["deepseek", "azure"], ["deepseek-chat", "gpt-5-mini"], "batch", np.ones((2, 6), int), NOVEMBER)
    assert (priced.reason > 0).all()
    assert "no batch rate for gpt-5-mini of azure" in priced.reasons[priced.reason[1]]
    with pytest.raises(PriceError, match="unknown service tier 'turbo'"):
        book.quote("gpt-5-mini", tier="turbo")


def test_missing_bucket_is_a_reason_only_where_it_is_used(book: PriceBook) -> None:
    """An embedding model has no output rate: input alone has a price, any output has none."""
    priced = book.price(
        "openai", "text-embedding-3-small", "standard", np.array([[1_000, 0, 0, 0, 0, 0], [1_000, 0, 0, 0, 1, 0]]), NOVEMBER
    )
    assert priced.cost_pusd.tolist() == [20_000_000, 0]
    assert priced.reasons[priced.reason[1]].startswith("no output rate for text-embedding-3-small of openai")


def test_problems_add_up(book: PriceBook) -> None:
    """Problems name each combination without a price, and their rows with the priced rows are all rows."""
    models = ["gpt-5-mini", "gpt-5-mni", "gpt-5-mni", "gpt-5-mini"]
    priced = book.price("openai", models, ["standard", "standard", "standard", "batch"], np.ones((4, 6), int), SEPTEMBER)
    assert priced.problems[["model", "tier", "rows"]].values.tolist() == [["gpt-5-mni", "standard", 2], ["gpt-5-mini", "batch", 1]]
    assert priced.problems["rows"].sum() + (priced.reason == 0).sum() == len(priced)
    assert book.price("openai", "gpt-5-mini", "standard", np.ones((4, 6), int), SEPTEMBER).problems.empty


def test_no_time_and_negative_counts_have_reasons(book: PriceBook) -> None:
    """A row without a time and one with a negative count have no price; their neighbours do."""
    times = np.array(["NaT", "2026-11-01", "2026-11-01"], "datetime64[us]")
    tokens = np.array([[1, 0, 0, 0, 0, 0], [-1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]])
    priced = book.price("openai", "gpt-5-mini", "standard", tokens, times)
    assert [priced.reasons[r] for r in priced.reason] == ["no time, and the rates of gpt-5-mini are dated", "a token count is negative", ""]
    assert book.price("openai", "gpt-5-mini", "standard", tokens[2:], pd.NaT).reason.tolist() == [1]


def test_no_rows(book: PriceBook) -> None:
    """No rows cost nothing and have no problems."""
    priced = book.price([], [], [], np.zeros((0, 6), int), np.array([], "datetime64[us]"))
    assert len(priced) == 0
    assert priced.parts_pusd.shape == (0, 6)
    assert priced.problems.empty


@pytest.mark.parametrize(
    ("tokens", "at", "match"),
    [
        (np.ones((2, 5), int), NOVEMBER, r"tokens int64 of shape \(2, 5\); expected whole numbers of shape \(n, 6\)"),
        (np.ones((2, 6)), NOVEMBER, "tokens float64"),
        (
            np.ones((2, 6), int),
            np.array(["2026-11-01"], "datetime64[us]"),
            "times .* of length 1; expected one UTC date or time, or 2",
        ),
    ],
)
def test_wrong_shapes_are_refused(book: PriceBook, tokens: np.ndarray, at: object, match: str) -> None:
    """Columns that do not fit are one sentence with both numbers."""
    with pytest.raises(InputError, match=match):
        book.price("openai", "gpt-5-mini", "standard", tokens, at)


def test_wrong_length_of_names_is_refused(book: PriceBook) -> None:
    """A name column of another length names itself."""
    with pytest.raises(InputError, match="3 values of model for 2 rows"):
        book.price("openai", ["a", "b", "c"], "standard", np.ones((2, 6), int), NOVEMBER)


def test_every_kind_of_column_means_the_same(book: PriceBook) -> None:
    """Lists, object arrays, Series, Categoricals, Arrow and Coded columns, and any time column, give the same costs."""
    models, providers = ["gpt-5-mini", "claude-haiku-4-5", "gpt-5-mini"], [None, "anthropic", None]
    tokens, times = np.arange(18).reshape(3, 6), pd.Series(pd.to_datetime(["2026-11-01", "2026-11-02", "2026-11-03"]))
    expected = book.price(providers, models, "standard", tokens, times.to_numpy())
    assert (expected.reason == 0).all()
    coded = Coded(np.array([0, 1, 0], np.int32), ("gpt-5-mini", "claude-haiku-4-5"))
    for column in (
        pd.Series(models),
        pd.Categorical(models),
        pd.Series(models, dtype="category"),
        np.array(models, object),
        pa.chunked_array([models]),
        coded,
    ):
        for at in (times, times.dt.tz_localize("UTC"), times.to_numpy().astype("datetime64[ns]"), list(times)):
            found = book.price(pd.Series(providers, dtype=object), column, "standard", tokens, at)
            assert found.cost_pusd.tolist() == expected.cost_pusd.tolist()


rows = st.lists(
    st.tuples(
        st.sampled_from(["gpt-5-mini", "claude-sonnet-4-5", "gpt-5-mni", "deepseek-chat", "text-embedding-3-small"]),
        st.sampled_from(["standard", "batch"]),
        st.tuples(*[st.integers(-1, 300_000)] * 6),
        st.datetimes(dt.datetime(2026, 8, 1), dt.datetime(2026, 12, 1)),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(rows, st.integers(0, 30))
def test_any_split_gives_the_same_bytes(book: PriceBook, rows: list[tuple], cut: int) -> None:
    """Pricing the rows in two parts gives the same costs, parts, evidence and reasons as pricing them at once."""

    def price(part: list[tuple]) -> tuple[bytes, bytes, bytes, list[str]]:
        models, tiers, tokens, at = ([r[i] for r in part] for i in range(4))
        priced = book.price(None, models, tiers, np.array(tokens, int).reshape(-1, 6), np.array(at, "datetime64[us]"))
        return (
            priced.cost_pusd.tobytes(),
            priced.parts_pusd.tobytes(),
            priced.evidence.tobytes(),
            [priced.reasons[r] for r in priced.reason],
        )

    whole, left, right = price(rows), price(rows[:cut]), price(rows[cut:])
    assert all(w == a + b for w, a, b in zip(whole, left, right, strict=True))


def test_blocks_do_not_show(book: PriceBook) -> None:
    """Many rows, over several internal blocks, cost what each costs alone; repriced ones and gaps included."""
    random = np.random.default_rng(5)
    tokens = random.integers(0, 90_000, (20_000, 6))
    models = np.array(["claude-sonnet-4-5", "gpt-5-mini", "gpt-5-mni"], object)[random.integers(0, 3, 20_000)]
    at = np.datetime64("2026-10-01", "us") + random.integers(0, 30 * 86_400_000_000, 20_000).astype("timedelta64[us]")
    tiers = np.array(["standard", "batch"], object)[random.integers(0, 2, 20_000)]
    whole = book.price(None, models, tiers, tokens, at)
    for i in random.integers(0, 20_000, 200):
        alone = book.price(None, models[i], tiers[i], tokens[i : i + 1], at[i : i + 1])
        assert alone.cost_pusd[0] == whole.cost_pusd[i]
        assert alone.reasons[alone.reason[0]] == whole.reasons[whole.reason[i]]
    assert (whole.parts_pusd.sum(1) == whole.cost_pusd).all()


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(*[st.integers(0, 3_000_000)] * 6), st.sampled_from(["claude-sonnet-4-5", "gpt-5-mini", "perplexity/sonar", "deepseek-chat"])
)
def test_equals_exact_arithmetic_on_the_printed_rates(book: PriceBook, tokens: tuple[int, ...], model: str) -> None:
    """Costs are the exact sum over the rates that ``quote`` shows, rounded once: what is displayed is what is charged."""
    rates = book.quote(model, at=NOVEMBER)
    table = [r for above, r in ((-1, rates.usd_per_mtok), *rates.above) if sum(tokens[:4]) > above][-1]
    exact = sum(Fraction(str(table[b])) * n for b, n in zip(TOKEN_BUCKETS, tokens, strict=True)) / 10**6 + Fraction(
        str(rates.usd_per_request)
    )
    cost = book.price(None, model, "standard", np.array([tokens]), NOVEMBER).cost_pusd[0]
    assert abs(int(cost) - exact * 10**12) <= Fraction(1, 2) + Fraction(1, 100)


def test_default_date_is_the_catalogues_and_stands_in_the_past(book: PriceBook) -> None:
    """The book's date comes from its data: not from a clock, not from a price announced for later."""
    assert book.date == max(d for d in book.rates.loc[book.rates["provider"] == "openrouter", "from"] if d is not None)
    assert book.date < max(d for d in book.rates["from"] if d is not None)
    assert book.name.startswith("genai-prices ")
    assert book.quote("gpt-5-mini") == book.quote("gpt-5-mini", at=book.date)


def test_quote_says_since_when_and_from_where(book: PriceBook) -> None:
    """A quote carries its start date, source, context tiers, and what traffic cannot count."""
    quote = book.quote("deepseek-v4-flash", at=NOVEMBER)
    assert quote.since == dt.date(2026, 9, 10)
    assert (quote.source, quote.evidence) == (book.name, "measured")
    sonnet = book.quote("claude-sonnet-4-5")
    assert sonnet.above[0][0] == 200_000
    assert sonnet.above[0][1]["input_tokens"] == 6.0
    assert "web_searches_kcount" in sonnet.uncounted


def test_rates_table_holds_what_quotes_say(book: PriceBook) -> None:
    """The flattened table has one row per model, tier, start, window and context tier, and agrees with ``quote``."""
    rows = book.rates[
        (book.rates["provider"] == "anthropic") & (book.rates["model"] == "claude-sonnet-4-5") & (book.rates["tier"] == "standard")
    ]
    assert rows["above_input_tokens"].tolist() == [0, 200_000]
    assert rows["input_tokens"].tolist() == [3.0, 6.0]


def test_context_window_and_retirement(book: PriceBook) -> None:
    """What the catalogue knows of a model's size and end is passed on; what it does not know is None."""
    assert book.context_window("gpt-5-mini") == 400_000
    assert book.context_window("mistral-large-latest", "mistral") is None or book.context_window("mistral-large-latest", "mistral") > 0
    assert book.retired("gpt-5-mini") is None
    dead = book.retired("command-light", "cohere")
    assert dead is not None
    assert "eprecated" in dead


def test_the_end_of_a_beta_is_not_the_models(book: PriceBook) -> None:
    """What the catalogue says of a feature's end retires no model; of a model that ended, whatever else is said, it does."""
    assert book.retired("claude-sonnet-4-5", "anthropic") is None
    for provider, model in (("mistral", "mistral-medium-2312"), ("databricks", "databricks-inkling"), ("mistral", "magistral-medium")):
        assert "etire" in (said := book.retired(model, provider) or "") or "eprecated" in said


def test_on_date_keeps_the_time_of_day(book: PriceBook) -> None:
    """A plan at one date keeps each request's hour, so that daily windows still count."""
    times = np.array(["2026-09-01T12:00", "2026-09-02T20:00"], "datetime64[us]")
    priced = book.price("deepseek", "deepseek-chat", "standard", np.tile([1_000, 0, 0, 0, 0, 0], (2, 1)), on_date(NOVEMBER, times))
    assert (priced.cost_pusd // 1_000_000).tolist() == [270, 135]


@pytest.mark.parametrize("at", [dt.date(1999, 1, 1), dt.datetime(2019, 12, 31, 23, tzinfo=dt.UTC), np.datetime64("2019-12-31")])
def test_a_stated_date_before_any_price_is_refused(book: PriceBook, at: object) -> None:
    """Nothing was priced in 1999: a stated date before 2020 is an error with the earliest date, not the oldest known rate."""
    tokens = np.ones((1, 6), int)
    with pytest.raises(PriceError, match=r"prices of (1999|2019)-.*; expected a date from 2020-01-01 on"):
        book.price("openai", "gpt-5-mini", "standard", tokens, at)
    with pytest.raises(PriceError, match="expected a date from 2020-01-01 on"):
        book.quote("gpt-5-mini", at=at)
    with pytest.raises(PriceError, match="expected a date from 2020-01-01 on"):
        on_date(at, np.array(["2026-11-01"], "datetime64[us]"))


def test_a_later_day_says_as_of_when_rates_are_known(book: PriceBook) -> None:
    """A date after the catalogue's is priced, and said to be as known on the catalogue's; rows of an old log stay priced."""
    assert book.said(book.date) == str(book.date)
    assert book.said(dt.date(2031, 1, 1)) == f"2031-01-01, as known on {book.date}"
    tokens = np.tile([1_000, 0, 0, 0, 0, 0], (2, 1))
    priced = book.price("openai", "gpt-4", "standard", tokens, np.array(["2023-05-01", "2031-01-01"], "datetime64[us]"))
    assert priced.reason.tolist() == [0, 0]
