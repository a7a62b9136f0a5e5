"""The price book: dated rates by provider, model and service tier, and the one place where tokens become money.

In: the bundled genai-prices catalogue and, where given, a file of overrides. Out: the cost of rows at stated times, rates
for people to read, and the reason wherever there is no price; never zero for "unknown", never a hidden "now". Knows
nothing of traffic, plans or currencies other than USD.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from planner.errors import InputError, PriceError, did_you_mean
from planner.prices import kernel
from planner.prices.columns import Strings, coded, pairs, stated, times_us
from planner.prices.names import HOW_TO_ADD, Names
from planner.prices.overrides import Key, Overrides, apply, placed, read_overrides
from planner.prices.priced import Priced
from planner.prices.sheets import TIERS, Entry, merged, rates_above, thresholds
from planner.schema import TOKEN_BUCKETS

__all__ = ["UNTIERED", "PriceBook", "Rates"]

#: What logs call the standard tier.
UNTIERED = {"": "standard", "default": "standard", "auto": "standard"}
_NEIGHBOURS = 20


@dataclass(frozen=True)
class Rates:
    """What one model costs in one tier at one time.

    Parameters
    ----------
    usd_per_mtok: by token bucket [USD per million tokens]; a bucket without a rate is left out.
    above: repricings of the whole request: ``(input tokens exceeded, usd_per_mtok)``, rising.
    usd_per_request: fee per request [USD].
    since: the UTC date from which these rates hold; None when they always have, as far as the book knows.
    source: the catalogue with its version, or the source an override states.
    evidence: ``measured``, or ``assumed`` where the rate was assumed.
    uncounted: what the catalogue also prices but traffic does not count (web searches, audio, images, …).
    """

    provider: str
    model: str
    tier: str
    usd_per_mtok: Mapping[str, float]
    above: tuple[tuple[int, Mapping[str, float]], ...]
    usd_per_request: float
    since: dt.date | None
    source: str
    evidence: str
    uncounted: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PriceBook:
    """Dated rates. Make one with ``PriceBook.load()``.

    Parameters
    ----------
    name: catalogue, version and the date of its knowledge, overrides file with a digest of its bytes, and assumptions made.
    date: the catalogue's own date, at which a plan is priced unless it states another.

    Examples
    --------
    >>> book = PriceBook.load()
    >>> tokens = np.array([[1_000, 0, 0, 0, 200, 0]])
    >>> book.price("openai", "gpt-5-mini", "standard", tokens, dt.date(2026, 11, 1)).cost_pusd
    array([650000000])
    >>> book.quote("gpt-5-mini").usd_per_mtok["output_tokens"]
    2.0
    """

    name: str
    date: dt.date
    _names: Names = field(repr=False)
    _index: Mapping[Key, int] = field(repr=False)
    _entries: tuple[Entry, ...] = field(repr=False)
    _table: kernel.RateTable = field(repr=False)
    _windows: Mapping[tuple[str, str], int] = field(repr=False)

    @classmethod
    def load(cls, overrides: str | Path | None = None, *, assume_tier_before_start: bool = False) -> PriceBook:
        """Flatten the bundled catalogue, with the rates of an ``overrides`` file (see ``read_overrides``) on top.

        The catalogue knows most batch, flex, priority and fast rates only from October 2026 on. A request in such a tier
        before that has no price, with a reason; with ``assume_tier_before_start`` it pays the tier's first known rates and
        is marked ``assumed``. InputError when the overrides file is not understood.
        """
        from planner.prices import catalogue  # imports genai-prices, which takes a moment

        own = read_overrides(overrides) if overrides is not None else Overrides()
        found = {(e.provider, e.model, e.tier): e for e in catalogue.entries(assume_tier_before_start)}
        found, own, added = placed(Names(tuple(catalogue.PROVIDERS), {}), found, own)
        entries = {key: merged(e) for key, e in apply(found, own).items()}
        name = " + ".join(filter(None, (catalogue.NAME, own.name, "tiers assumed before their start" * assume_tier_before_start)))
        return cls(
            name,
            catalogue.catalogue_date(),
            Names(tuple(catalogue.PROVIDERS), added),
            {key: i for i, key in enumerate(entries, 1)},
            tuple(entries.values()),
            kernel.RateTable.of(list(entries.values())),
            {(x.provider, x.model): x.context_window for x in own.items if x.context_window},
        )

    def price(self, provider: Strings, model: Strings, tier: Strings, tokens: ArrayLike, at: Any) -> Priced:
        """Price rows.

        Parameters
        ----------
        provider, model, tier: one string for all rows, or n of them: a sequence, Series, Categorical or Coded column.
            A provider may be None or empty where the model's name says enough.
        tokens: whole numbers of shape (n, 6), in the order of ``schema.TOKEN_BUCKETS``.
        at: one UTC date or time for all rows, which must not be before 2020-01-01 (PriceError), or n of them.

        A moment before a model's first dated change pays the undated rate that the catalogue has from the start, so old logs
        stay priced; a tier or an override whose first rate is dated has no price before, with a reason. A moment after the
        catalogue's date pays the rates as they were then known, announced changes included: ``name`` says which date that is.

        Returns
        -------
        Costs in integer pico-USD, and a reason where there is no price. A row's cost depends on that row alone.
        """
        counts = np.asarray(tokens)
        if counts.ndim != 2 or counts.shape[1] != len(TOKEN_BUCKETS) or counts.dtype.kind not in "iu":
            raise InputError(f"tokens {counts.dtype} of shape {counts.shape}", f"whole numbers of shape (n, {len(TOKEN_BUCKETS)})")
        counts = counts.astype(np.int64, copy=False)
        code, combos = pairs([coded(c, len(counts), w) for c, w in ((provider, "provider"), (model, "model"), (tier, "tier"))])
        found = [self._lookup(p, m, t, i < _NEIGHBOURS) for i, (p, m, t) in enumerate(combos)]
        entries = np.array([entry for entry, _ in found], np.int64)
        chosen = kernel.choose(self._table, entries, code, counts, times_us(stated(at), len(counts)))
        return Priced.of(self._table, chosen, counts, code, combos, lambda i, kind: self._reason(found[i], combos[i], kind))

    def _lookup(self, provider: str, model: str, tier: str, advise: bool) -> tuple[int, str]:
        """Return the entry of a combination as logged, or 0 and why there is none."""
        known = UNTIERED.get(tier.lower(), tier.lower())
        try:
            owner, model_found, home = self._names.find(model, provider or None)
        except PriceError as error:
            return 0, str(error) if advise else f"Got model {model!r} of provider {provider!r}; expected a model of the price book."
        if known not in TIERS:
            return 0, f"unknown service tier {tier!r} of {model}: known are {', '.join(TIERS)}"
        found = _id(model_found)
        entry = self._index.get((owner, found, known), self._index[home, found, known] if known == "standard" else 0)
        return entry, "" if entry else f"no {known} rate for {found} of {owner} in {self.name}: {HOW_TO_ADD}"

    def _reason(self, found: tuple[int, str], combo: tuple[str, ...], kind: int) -> str:
        entry = self._entries[found[0] - 1] if found[0] else None
        if kind == kernel.NO_TIME:
            return f"no time, and the rates of {combo[1]} are dated"
        if kind == kernel.NEGATIVE:
            return "a token count is negative"
        if entry is None:
            return found[1]
        if kind == kernel.ABSENT:
            return (
                f"no {entry.tier} rate for {entry.model} of {entry.provider} before {entry.begins} in {self.name}: "
                f"state the assumption with assume_tier_before_start, or {HOW_TO_ADD}"
            )
        bucket = TOKEN_BUCKETS[kind - 1].removesuffix("_tokens").replace("_", " ")
        return f"no {bucket} rate for {entry.model} of {entry.provider} ({entry.tier}) in {self.name}"

    def resolve(self, model: str, provider: str | None = None) -> tuple[str, str]:
        """Return the catalogue's ids of ``model`` and its provider; PriceError with the nearest names when unknown.

        >>> PriceBook.load().resolve("bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0")
        ('aws', 'regional.anthropic.claude-haiku-4-5-20251001-v1:0')
        """
        owner, found = self._names.resolve(model, provider)
        return owner, _id(found)

    def provider(self, name: str) -> str:
        """Return the catalogue's id of the provider called ``name``; PriceError with the nearest names when unknown.

        >>> PriceBook.load().provider("azure_openai")
        'azure'
        """
        if (found := self._names.provider_id(name)) is None:
            known = self._names.provider_ids
            fix = did_you_mean(name.lower(), known).removesuffix("?") or f"known are {', '.join(known)}"
            raise PriceError(f"provider {name!r}", "a provider of the price book", fix)
        return found

    def model_ids(self, provider: str) -> tuple[str, ...]:
        """Return the ids of all models that ``provider`` (an id of the book) has rates for, sorted."""
        return tuple(sorted({model for owner, model, _ in self._index if owner == provider}))

    def quote(self, model: str, provider: str | None = None, tier: str = "standard", at: dt.date | dt.datetime | None = None) -> Rates:
        """Return the rates in force at ``at`` (default: the catalogue's date); PriceError when there are none."""
        moment = int(times_us(self.date if at is None else stated(at), 1))
        owner, found = self.resolve(model, provider)
        number, reason = self._lookup(provider or "", model, tier, True)
        if not number:
            raise PriceError(reason)
        entry, slot = self._entries[number - 1], self._table.slot(number, moment) - int(self._table.first[number])
        era, sheet = slot // len(entry.times), entry.sheets[slot]
        if sheet is None:
            raise PriceError(self._reason((number, ""), (owner, found, tier), kernel.ABSENT))
        rows = [(above, rates_above(sheet, above)) for above in (-1, *thresholds(sheet))]
        named = [(above, {b: r for b, r in zip(TOKEN_BUCKETS, rates, strict=False) if r is not None}) for above, rates in rows]
        return Rates(
            owner, found, entry.tier, named[0][1], tuple(named[1:]), rows[0][1][-1] or 0.0,
            entry.days[era] if era else None, entry.sources[era], "assumed" if entry.assumed[era] else "measured",
            tuple(k for k in sheet if k.rsplit("_", 1)[0] not in _COUNTED),
        )  # fmt: skip

    def said(self, at: dt.date | str) -> str:
        """Name the day of a plan's prices; of a day after the catalogue's only what it announces is known.

        >>> PriceBook.load().said(dt.date(2031, 1, 1))[:24]
        '2031-01-01, as known on '
        """
        later = not isinstance(at, str) and at > self.date
        return f"{at}, as known on {self.date}" if later else str(at)

    def context_window(self, model: str, provider: str | None = None) -> int | None:
        """Return the most input tokens that ``model`` takes, None where the book does not say; PriceError when unknown."""
        owner, found = self._names.resolve(model, provider)
        return self._windows.get((owner, _id(found))) or getattr(found, "context_window", None)

    def retired(self, model: str, provider: str | None = None) -> str | None:
        """Return what the catalogue says about the end of ``model`` (a sentence), None when it says nothing.

        What it says of the end of a feature, as of a beta, is not about the model.

        >>> PriceBook.load().retired("claude-sonnet-4-5")
        """
        _, found = self._names.resolve(model, provider)
        comment = getattr(found, "price_comments", None) or ""
        ends = (s for s in comment.split(". ") if any(w in s.lower() for w in _ENDS))
        said = next((s for s in ends if not any(w in s.lower() for w in _FEATURES)), None)
        return said or ("deprecated by its provider" if getattr(found, "deprecated", None) else None)

    @cached_property
    def rates(self) -> pd.DataFrame:
        """Every rate, one row per provider, model, tier, start, daily window and context tier; [USD per million tokens]."""
        rows = []
        for entry in self._entries:
            for i, (moment, sheet) in enumerate(zip(entry.moments(), entry.sheets, strict=True)):
                era = i // len(entry.times)
                key = (entry.provider, entry.model, entry.tier, entry.days[era] if era else None, f"{moment:%H:%M}")
                for above in (-1, *thresholds(sheet)) if sheet is not None else ():
                    rows.append((*key, max(above, 0), *rates_above(sheet or {}, above), entry.assumed[era], entry.sources[era]))
        names = (
            "provider",
            "model",
            "tier",
            "from",
            "from_utc",
            "above_input_tokens",
            *TOKEN_BUCKETS,
            "usd_per_request",
            "assumed",
            "source",
        )
        return pd.DataFrame(rows, columns=list(names))


def _id(found: Any) -> str:
    return str(getattr(found, "id", found))


_ENDS, _FEATURES = ("retire", "deprecat", "shut down"), ("beta", "context", "tiers")
_COUNTED = {"input", "output", "cache_read", "cache_write", "cache_write_5m", "cache_write_1h", "output_reasoning", "requests"}
