"""Contract: what was agreed with providers beside their list prices, as plain values.

In: a file in the ``contracts`` format. Out: discounts, commitments, deployments of a fixed capacity and credits, each with its dates and
where it is written. What somebody wrote down is ``assumed`` until an invoice says the same. Knows nothing of logs or of what a term costs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.prices.contract_file import parse
from planner.units import usd_to_pusd

__all__ = ["FOREVER", "PPM", "Capacity", "Commitment", "Contract", "Credit", "Discount"]

#: The end of a term that has none.
FOREVER = dt.date.max
#: Discounts are kept in whole millionths of the list price, so that money stays in integers.
PPM = 1_000_000
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class Discount:
    """``keep_ppm`` millionths of the list price are paid, from ``start`` to ``end`` (both UTC days included).

    ``model`` and ``tier`` are empty where the discount holds for all of them; the most specific one in force counts, alone.
    """

    provider: str
    start: dt.date
    end: dt.date
    source: str
    keep_ppm: int
    model: str = ""
    tier: str = ""


@dataclass(frozen=True, slots=True)
class Commitment:
    """At least ``pusd`` [pUSD] are paid in every period of ``months`` calendar months from ``start`` on: use and fees count."""

    provider: str
    start: dt.date
    end: dt.date
    source: str
    pusd: int
    months: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """A deployment for a fixed fee [pUSD per calendar month]: calls cost nothing while its window is not full.

    ``tokens`` per window of ``seconds``; input counts once, output ``output_counts`` times, cache reads ``cached_counts`` times.
    """

    provider: str
    start: dt.date
    end: dt.date
    source: str
    name: str
    model: str
    fee_pusd: int
    tokens: int
    seconds: int
    output_counts: float = 1.0
    cached_counts: float = 1.0


@dataclass(frozen=True, slots=True)
class Credit:
    """``pusd`` [pUSD] that are left on ``start`` and pay bills of months from then to ``end``, never more than a bill."""

    provider: str
    start: dt.date
    end: dt.date
    source: str
    pusd: int


@dataclass(frozen=True, slots=True)
class Contract:
    """What was agreed. Make one with ``Contract.load("contracts.yaml")``; ``Contract()`` has no terms and changes no price.

    Parameters
    ----------
    name: the file with the first digits of its SHA-256.

    Examples
    --------
    >>> Contract().text
    'No contract: list prices hold.'
    """

    name: str = ""
    discounts: tuple[Discount, ...] = ()
    commitments: tuple[Commitment, ...] = ()
    capacities: tuple[Capacity, ...] = ()
    credits: tuple[Credit, ...] = ()

    @classmethod
    def load(cls, path: str | Path) -> Contract:
        """Read a contracts file; InputError with its line when anything in it is not understood.

        Dates are UTC days, ``until`` is included and may be left out, and a term without dates has its contract's. The most specific
        discount counts alone (model and tier, model, tier, provider; of two alike the later one). Commitments are periods of whole
        calendar months from ``from`` on. A credit is what was left of it on its ``from``; a log that begins later takes none. Rates in
        dollars per token belong into a prices file (``PriceBook.load``). ::

            format: planner.contracts
            version: 1
            contracts:
              - provider: openai
                source: order form of 2026-06-20
                from: 2026-07-01
                until: 2027-06-30
                discounts:
                  - {percent: 10}
                  - {model: gpt-5-mini, tier: batch, percent: 15}
                commitments:
                  - {usd: 20000, per: month}
                capacity:
                  - {name: ptu, model: gpt-5.4, usd_per_month: 12000, tokens: 300000, per: minute}
                credits:
                  - {usd: 2500, from: 2026-11-01, until: 2026-12-31}
        """
        file = Path(path)
        try:
            content = file.read_bytes()
            text = content.decode("utf-8")
        except OSError as error:
            raise InputError(f"{file}: {error.strerror}", "a readable contracts file") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{file}: bytes that are not UTF-8", "a text file") from error
        terms = [term for item in parse(text, str(file)) for term in _terms(item)]
        return cls(
            f"{file.name} {sha256(content).hexdigest()[:8]}",
            tuple(t for t in terms if isinstance(t, Discount)),
            tuple(t for t in terms if isinstance(t, Commitment)),
            tuple(t for t in terms if isinstance(t, Capacity)),
            tuple(t for t in terms if isinstance(t, Credit)),
        )

    @property
    def providers(self) -> tuple[str, ...]:
        """Providers with a term, as the file spells them, sorted."""
        named = (t.provider for terms in (self.discounts, self.commitments, self.capacities, self.credits) for t in terms)
        return tuple(sorted(set(named)))

    def only(self, provider: str) -> Contract:
        """Return the terms with one provider."""
        kinds = (self.discounts, self.commitments, self.capacities, self.credits)
        own: Any = [tuple(t for t in terms if t.provider == provider) for terms in kinds]
        return Contract(self.name, *own)

    @property
    def text(self) -> str:
        """How many terms of which kind, with whom."""
        if not self.providers:
            return "No contract: list prices hold."
        kinds = {
            "discount": len(self.discounts),
            "commitment": len(self.commitments),
            "fixed-capacity deployment": len(self.capacities),
            "credit": len(self.credits),
        }
        said = [f"{n} {kind}{'s' * (n > 1)}" for kind, n in kinds.items() if n]
        return f"Contract {self.name} with {', '.join(self.providers)}: {', '.join(said)}; assumed, as written down."


def _terms(item: Mapping[str, Any]) -> list[Discount | Commitment | Capacity | Credit]:
    """Return the terms of one provider's contract as values."""

    def base(term: Mapping[str, Any]) -> dict[str, Any]:
        start, end = term.get("from", item["from"]), term.get("until", item.get("until", FOREVER))
        return {"provider": item["provider"], "start": start, "end": end, "source": item["source"]}

    found: list[Discount | Commitment | Capacity | Credit] = []
    for term in item["discounts"]:
        keep = PPM - round(term["percent"] * PPM / 100)
        found.append(Discount(**base(term), keep_ppm=keep, model=term.get("model", ""), tier=term.get("tier", "")))
    for term in item["commitments"]:
        found.append(Commitment(**base(term), pusd=usd_to_pusd(term["usd"]), months=_MONTHS[term["per"]]))
    for term in item["capacity"]:
        own = {key: term[key] for key in ("name", "model", "tokens", "output_counts", "cached_counts") if key in term}
        fee, seconds = usd_to_pusd(term["usd_per_month"]), 60 if term["per"] == "minute" else 86_400
        found.append(Capacity(**base(term), fee_pusd=fee, seconds=seconds, **own))
    for term in item["credits"]:
        found.append(Credit(**base(term), pusd=usd_to_pusd(term["usd"])))
    return found
