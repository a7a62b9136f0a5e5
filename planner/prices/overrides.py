"""Overrides: a user's own rates from YAML, laid over the catalogue's Entries.

In: a file in the ``prices`` format; every rate has the date it starts and its source. Out: the Entries with those rates
in force from their dates on, or one error naming the line of the list that is wrong. Knows nothing of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

from planner import formats
from planner.errors import InputError, PriceError, did_you_mean
from planner.prices.names import Names
from planner.prices.sheets import EPOCH, TIERS, Entry, Price, overlay, starting
from planner.schema import EVIDENCE, TOKEN_BUCKETS

__all__ = ["Overrides", "apply", "placed", "read_overrides"]

_FIELDS = {
    "provider": str, "model": str, "tier": str, "from": date, "source": str, "evidence": str, "usd_per_mtok": dict,
    "above_input_tokens": dict, "context_window": int,
}  # fmt: skip
_REQUIRED = ("provider", "model", "from", "source", "usd_per_mtok")


Key: TypeAlias = "tuple[str, str, str]"


@dataclass(frozen=True, slots=True)
class Override:
    """One item of the file: ``prices`` by token bucket, in force from ``start`` on."""

    provider: str
    model: str
    tier: str
    start: date
    source: str
    assumed: bool
    prices: Mapping[str, Price]
    context_window: int | None


@dataclass(frozen=True, slots=True)
class Overrides:
    """A read file: its ``name`` (file name and the first digits of its SHA-256) and its items, oldest start first."""

    name: str = ""
    items: Sequence[Override] = ()


def read_overrides(path: str | Path) -> Overrides:
    """Read an overrides file; InputError with one sentence when anything in it is not understood.

    The file looks like this; ``tier`` is ``standard``, ``evidence`` ``measured`` when left out. A bucket without a rate of
    its own keeps the catalogue's, and in a model that the catalogue does not know pays the input (reasoning: the output) rate. ::

        format: planner.prices
        version: 1
        rates:
          - provider: openai
            model: gpt-5-mini
            tier: batch
            from: 2026-07-01
            source: contract of 2026-06-20
            usd_per_mtok: {input_tokens: 0.10, output_tokens: 0.80}
            above_input_tokens: {200000: {input_tokens: 0.20}}
    """
    import yaml  # only where a file is read

    file = Path(path)
    try:
        text = file.read_bytes()
        payload = yaml.safe_load(text)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}", "a readable overrides file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: {' '.join(str(error).split())}", "YAML") from error
    if not isinstance(payload, dict):
        raise InputError(f"{file}: {type(payload).__name__}", "a mapping with format, version and rates")
    payload = formats.migrate("prices", payload, str(file))
    rates = payload.get("rates")
    if not isinstance(rates, list) or set(payload) - {"format", "version", "rates"}:
        raise InputError(f"{file}: keys {', '.join(map(str, payload))}", "format, version and a list called rates")
    items = [_item(f"{file}, rate {i}", raw) for i, raw in enumerate(rates, 1)]
    return Overrides(f"{file.name} {sha256(text).hexdigest()[:8]}", sorted(items, key=lambda x: x.start))


def _item(where: str, raw: Any) -> Override:
    if not isinstance(raw, dict):
        raise InputError(f"{where}: {raw!r}", f"a mapping with {', '.join(_REQUIRED)}")
    for key, value in raw.items():
        if key not in _FIELDS:
            raise InputError(f"{where}: {key!r}", f"one of {', '.join(_FIELDS)}", did_you_mean(str(key), _FIELDS))
        if type(value) is not _FIELDS[key] or value == "":
            raise InputError(f"{where}: {key} {value!r}", f"a {_FIELDS[key].__name__}{' like 2026-07-01' if key == 'from' else ''}")
    missing = [key for key in _REQUIRED if key not in raw]
    if missing:
        raise InputError(f"{where}: no {' and no '.join(missing)}", "every rate with its start date (from) and its source")
    tier, evidence = raw.get("tier", "standard"), raw.get("evidence", "measured")
    for name, value, known in (("tier", tier, TIERS), ("evidence", evidence, ("measured", EVIDENCE[-1]))):
        if value not in known:
            raise InputError(f"{where}: {name} {value!r}", f"one of {', '.join(known)}")
    prices = _prices(where, raw["usd_per_mtok"], raw.get("above_input_tokens", {}))
    own = (raw["provider"], raw["model"], tier, raw["from"], raw["source"])
    return Override(*own, evidence == "assumed", prices, raw.get("context_window"))


def _prices(where: str, base: Mapping[Any, Any], above: Mapping[Any, Any]) -> dict[str, Price]:
    rates = _rates(where, base)
    steps: dict[str, list[tuple[int, float]]] = {bucket: [] for bucket in rates}
    for tokens, repriced in above.items():
        if type(tokens) is not int or tokens < 0 or not isinstance(repriced, dict):
            raise InputError(f"{where}: above_input_tokens {tokens!r}: {repriced!r}", "a number of tokens and its usd_per_mtok")
        for bucket, rate in _rates(where, repriced).items():
            if bucket not in rates:
                raise InputError(f"{where}: {bucket} above {tokens} tokens only", f"usd_per_mtok of {bucket} too")
            steps[bucket].append((tokens, rate))
    return {bucket: (rate, tuple(sorted(steps[bucket]))) for bucket, rate in rates.items()}


def _rates(where: str, raw: Mapping[Any, Any]) -> dict[str, float]:
    for bucket, rate in raw.items():
        if bucket not in TOKEN_BUCKETS:
            raise InputError(f"{where}: {bucket!r}", f"one of {', '.join(TOKEN_BUCKETS)}", did_you_mean(str(bucket), TOKEN_BUCKETS))
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1e9:
            raise InputError(f"{where}: {bucket} {rate!r}", "a price in USD per million tokens")
    if not raw:
        raise InputError(f"{where}: no rate", "usd_per_mtok with at least one token bucket")
    return {bucket: float(rate) for bucket, rate in raw.items()}


def placed(names: Names, entries: dict[Key, Entry], overrides: Overrides) -> tuple[dict[Key, Entry], Overrides, dict[str, frozenset[str]]]:
    """Bring the items' names to the catalogue's ids.

    Returns the entries, with those of a reseller (Azure's OpenAI models) copied where it gets rates of its own, the
    overrides under those ids, and the ids that the catalogue does not know, by provider.
    """
    entries, items = dict(entries), []
    added: dict[str, frozenset[str]] = {}
    for item in overrides.items:
        owner, model = names.provider_id(item.provider) or item.provider.lower(), item.model.lower()
        try:
            owner, found, home = names.find(item.model, item.provider)
            model = found if isinstance(found, str) else found.id
            entries.setdefault((owner, model, "standard"), replace(entries[home, model, "standard"], provider=owner))
        except PriceError:
            added[owner] = added.get(owner, frozenset()) | {model}
        items.append(replace(item, provider=owner, model=model))
    return entries, replace(overrides, items=items), added


def apply(entries: dict[Key, Entry], overrides: Overrides) -> dict[Key, Entry]:
    """Return ``entries`` (by provider, model and tier id) with ``overrides`` laid over them.

    An added tier starts from the model's standard rates, as genai-prices' own tiers do.
    """
    out = dict(entries)
    for item in overrides.items:
        key = (item.provider, item.model, item.tier)
        base = out.get(key) or _blank(item, out.get((item.provider, item.model, "standard")))
        laid = overlay(base, item.start, item.prices, f"{item.source} ({overrides.name})", item.assumed)
        out[key] = laid if key in out else starting(laid, item.start)
    return out


def _blank(item: Override, standard: Entry | None) -> Entry:
    if standard is None:
        return Entry(item.provider, item.model, item.tier, (EPOCH,), (timedelta(0),), (None,), (False,), ("",))
    return replace(standard, tier=item.tier)
