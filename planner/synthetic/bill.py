"""The bills of the sample's two providers: what the log's calls cost under a contract, and what a gateway never sees.

In: the audited sample. Out: a contracts file, and the exports that the providers' consoles would give. Known by construction: OpenAI grants
8 %; an evaluation job calls gpt-5.4-mini past the gateway on weekends; Anthropic bills 1 % more than the list in November, and nobody has
said why. Knows nothing of how bills are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from planner.errors import InputError
from planner.prices import Audit
from planner.schema import TOKEN_BUCKETS
from planner.synthetic.sample import LOG

__all__ = ["Bill", "sample_bill"]

DISCOUNT, UNEXPLAINED = 0.08, 0.01
#: Of each weekend day: requests past the gateway, and tokens of each.
OUTSIDE_MODEL, OUTSIDE_REQUESTS, OUTSIDE_INPUT, OUTSIDE_OUTPUT = "gpt-5.4-mini", 400, 1_500, 300
_CONTRACT = """format: planner.contracts
version: 1
contracts:
  - provider: openai
    source: SYNTHETIC order form
    from: 2026-10-01
    discounts:
      - {{percent: {percent:g}}}
"""


@dataclass(frozen=True)
class Bill:
    """``contract``: the contracts file; ``invoices``: the exports; ``outside_usd``: what was billed for calls that no log shows."""

    contract: Path
    invoices: tuple[Path, ...]
    outside_usd: float


def sample_bill(audit: Audit, folder: str | Path) -> Bill:
    """Write the SYNTHETIC bills beside the sample's ``audit`` into ``folder``; InputError beside any other log."""
    if [*audit.traffic.meta.get("files", {})] != [LOG]:
        raise InputError(
            "a made-up bill for a log that is not the sample", "the sample's audit", "give planner.prices.read_invoice your own"
        )
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    days = _days(audit)
    ours = days[days["provider"] == "openai"]
    outside = _outside(audit, sorted(set(days["day"])))
    usage = pd.concat([ours, outside]).groupby(["day", "model"], as_index=False).sum(numeric_only=True)
    usage["usd"] *= 1 - DISCOUNT
    theirs = days[days["provider"] == "anthropic"].copy()
    theirs["usd"] *= np.where(theirs["day"] >= "2026-11-01", 1 + UNEXPLAINED, 1.0)
    contract = path / "contracts.yaml"
    contract.write_text(_CONTRACT.format(percent=100 * DISCOUNT), "utf-8")
    files = (_openai_costs(usage, path), _openai_usage(usage, path), _anthropic_costs(theirs, path))
    return Bill(contract, files, float(outside["usd"].sum()) * (1 - DISCOUNT))


def _days(audit: Audit) -> pd.DataFrame:
    """Return what each day, provider and model cost at list prices, and its tokens and requests."""
    frame = audit.traffic.frame("timestamp", "provider", "model", *TOKEN_BUCKETS)
    frame = frame.assign(day=frame["timestamp"].dt.strftime("%Y-%m-%d"), usd=audit.spend_pusd / 1e12, requests=1)[~audit.hit]
    frame["input"] = frame[[b for b in TOKEN_BUCKETS[:4] if b != "cache_read_tokens"]].sum(axis=1)
    frame["output"] = frame[[*TOKEN_BUCKETS[4:]]].sum(axis=1)
    sums = frame.groupby(["day", "provider", "model"], as_index=False)[["usd", "requests", "input", "cache_read_tokens", "output"]].sum()
    return sums.rename(columns={"cache_read_tokens": "cached"})


def _outside(audit: Audit, days: list[str]) -> pd.DataFrame:
    """Return the evaluation job's days at list prices."""
    rates = audit.book.quote(OUTSIDE_MODEL, "openai").usd_per_mtok
    usd = OUTSIDE_REQUESTS * (OUTSIDE_INPUT * rates["input_tokens"] + OUTSIDE_OUTPUT * rates["output_tokens"]) / 1e6
    rows = {
        "day": [day for day in days if pd.Timestamp(day).dayofweek >= 5],
        "model": OUTSIDE_MODEL,
        "usd": usd,
        "requests": OUTSIDE_REQUESTS,
        "input": OUTSIDE_REQUESTS * OUTSIDE_INPUT,
        "cached": 0,
        "output": OUTSIDE_REQUESTS * OUTSIDE_OUTPUT,
    }
    return pd.DataFrame(rows)


def _openai_costs(usage: pd.DataFrame, path: Path) -> Path:
    rows = {
        "start_time": usage["day"],
        "amount_value": usage["usd"].map("{:.6f}".format),
        "amount_currency": "usd",
        "line_item": usage["model"],
    }
    return _written(pd.DataFrame(rows), path / "openai_costs.csv")


def _openai_usage(usage: pd.DataFrame, path: Path) -> Path:
    rows = {
        "start_time": usage["day"],
        "model": usage["model"],
        "num_model_requests": usage["requests"],
        "input_tokens": usage["input"] + usage["cached"],
        "input_cached_tokens": usage["cached"],
        "output_tokens": usage["output"],
    }
    return _written(pd.DataFrame(rows), path / "openai_usage.csv")


def _anthropic_costs(days: pd.DataFrame, path: Path) -> Path:
    rows = {"usage_date_utc": days["day"], "model": days["model"], "cost_type": "token", "cost_usd": days["usd"].map("{:.6f}".format)}
    return _written(pd.DataFrame(rows), path / "anthropic_costs.csv")


def _written(table: pd.DataFrame, path: Path) -> Path:
    table.to_csv(path, index=False)
    return path
