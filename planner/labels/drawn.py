"""From a draw to work: the items with their weights, the asks with their prices, and today's answers.

In: which units were drawn with which probability, and the terms of asking. Out: Work. Only here are the texts of the drawn requests
loaded. Knows nothing of how the draw was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from planner.labels.asking import Terms
from planner.labels.bodies import schema_bytes
from planner.labels.draw import Drawn
from planner.labels.quotes import OVERHEAD_TOKENS, ask_pusd, at_most_pusd
from planner.labels.texts import group_of
from planner.labels.work import Work, ask_id
from planner.schema import LABEL_ITEMS, TOKEN_BUCKETS
from planner.stats import draws
from planner.traffic import Traffic
from planner.units import PUSD_PER_USD

__all__ = ["work_of"]

Ints = NDArray[np.int64]
_ANSWER = ("model", "response", "finish_reason", "latency_ms", *TOKEN_BUCKETS)
_ITEM = tuple(n for n in LABEL_ITEMS.names if n not in ("group", "weight"))


def work_of(traffic: Traffic, terms: Terms, found: Drawn, size: Ints, meta: Mapping[str, Any], seed: int) -> Work:
    """Return the work of a draw, in an order that chance decides.

    ``size`` (n,) [bytes] of the messages: no text has more tokens than bytes. Where a run stops early, what it reached is itself a
    sample, since the order is drawn by request id.
    """
    units, picked, probability = found.units, found.picked, found.probability[found.picked]
    rows = units.row[picked]
    text = _loaded(traffic, rows)
    order = np.argsort(draws.uniform(seed, draws.key(text["request_id"]), "label/order"), kind="stable")
    rows, picked, probability, text = rows[order], picked[order], probability[order], text.iloc[order].reset_index(drop=True)
    weight = traffic.frame("weight")["weight"].to_numpy(float)
    inside = units.unit >= 0
    items = text[list(_ITEM)].assign(
        group=[group_of(m) for m in text["messages"]],
        weight=units.total(weight)[picked] / probability,
        probability=probability,
        requests=np.bincount(units.unit[inside], minlength=len(units.row))[picked],
        stake_usd=units.total(terms.stake_pusd * weight)[picked] / PUSD_PER_USD,
    )
    asks = _asks(text, terms, rows, size[rows] + _schema_bytes(text, meta["schemas"]))
    logged = text[["request_id", *_ANSWER]].assign(source="log", cost_usd=terms.spend_pusd[rows] / PUSD_PER_USD, paid_usd=0.0)
    return Work.of(items, asks, logged[terms.answered[rows]], **meta)


def _loaded(traffic: Traffic, rows: Ints) -> pd.DataFrame:
    """Load the columns of the requests at ``rows``, in their order, one batch of text at a time."""
    names = list(dict.fromkeys((*_ITEM, *_ANSWER, "provider")))
    order = np.argsort(rows, kind="stable")
    wanted, parts, start = rows[order], [], 0
    for batch in traffic.batches(names, 8_192):
        low, high = np.searchsorted(wanted, [start, start + len(batch)])
        parts.append(batch.take(pa.array(wanted[low:high] - start)))
        start += len(batch)
    found: pd.DataFrame = pa.Table.from_batches(parts).to_pandas()
    return found.iloc[np.argsort(order)].reset_index(drop=True)


def _schema_bytes(text: pd.DataFrame, schemas: Mapping[str, Any]) -> Ints:
    """Return the bytes of the JSON schema that goes with each request."""
    of_app = text["app"].map({app: schema_bytes(schema) for app, schema in schemas.items()})
    return of_app.where(text["response_format"] == "json_schema").fillna(0).to_numpy(float).astype(np.int64)


def _asks(text: pd.DataFrame, terms: Terms, rows: Ints, size: Ints) -> pd.DataFrame:
    """Return one row per answer to ask for, the answers to one request side by side; ``size`` (n,) [bytes] of what is sent."""
    ask = terms.ask[rows]
    same = text["model"].to_numpy()[:, None] == np.array([c.model for c in terms.candidates], object)
    again = ~terms.answered[rows] & ~(same & ask).any(axis=1)
    item, column = np.nonzero(np.column_stack([ask, again]))
    own = column == len(terms.candidates)
    model = np.where(own, text["model"].to_numpy()[item], np.array([*(c.model for c in terms.candidates), ""], object)[column])
    provider = np.where(own, text["provider"].to_numpy()[item], np.array([*(c.provider for c in terms.candidates), ""], object)[column])
    row = rows[item]
    asks = pd.DataFrame({"request_id": text["request_id"].to_numpy()[item], "model": model, "provider": provider})
    asks["ask_id"] = [ask_id(r, m) for r, m in zip(asks["request_id"], asks["model"], strict=True)]
    asks["input_tokens"], asks["output_tokens"] = terms.tokens_in[row], terms.tokens_out[row, column]
    asks["limit_tokens"] = terms.limit[row]
    most = np.maximum(size[item], terms.tokens_in[row]) + OVERHEAD_TOKENS
    who = (terms.book, asks["provider"], asks["model"])
    asks["price_pusd"] = ask_pusd(*who, terms.tokens_in[row], terms.tokens_out[row, column], terms.at)[0]
    asks["at_most_pusd"] = at_most_pusd(*who, most, terms.limit[row], terms.at)
    return asks
