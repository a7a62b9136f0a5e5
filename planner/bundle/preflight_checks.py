"""What can be told of a gateway without calling a model: its version, its groups and keys, quotas, and retirements.

In: what a proxy says of itself, and what an export needs. Out: checks, each with the reason and what to do. Changes nothing. Knows nothing
of calls.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from planner.bundle.preflight_proxy import Proxy
from planner.errors import PriceError
from planner.prices import PriceBook
from planner.router import Router

__all__ = ["TESTED", "UNKNOWN_PEAK", "Check", "Peaks", "Quotas", "listed", "quotas", "reached", "retirements", "stated_quotas"]

#: Versions of LiteLLM that the exported files were tried on: from the first to before the second.
TESTED = ((1, 108, 0), (1, 109, 0))
#: A model that retires within so many days is named.
_SOON_DAYS = 60
#: model → {rpm, input_tpm, output_tpm} → {log, plan}, as in a manifest's prediction.
Peaks: TypeAlias = Mapping[str, Mapping[str, Mapping[str, float]]]
#: model → some of rpm, tpm, input_tpm, output_tpm.
Quotas: TypeAlias = Mapping[str, Mapping[str, float]]
#: What is said of a busiest minute where no log was given, and the one at the export was a sample or not read.
UNKNOWN_PEAK = "no whole log says how busy it will be"
#: How LiteLLM calls the limits of a deployment → what they are called here.
_STATED = {"rpm": "rpm", "tpm": "tpm", "itpm": "input_tpm", "otpm": "output_tpm"}


@dataclass(frozen=True)
class Check:
    """``go`` is None where it is open: it could not be told, or is for people to judge; ``fix`` says what to do about it."""

    check: str
    subject: str
    go: bool | None
    found: str
    fix: str = ""


def reached(proxy: Proxy) -> Iterator[Check]:
    """Check that the proxy answers this key, and that its version is one that was tried."""
    allowed = proxy.allowed
    refused = allowed.key_fix or ("check the key" if allowed.status in (400, 401, 403) else "check the URL, and that the proxy runs")
    yield Check("gateway", proxy.base, allowed.ok, "answers this key" if allowed.ok else allowed.error, "" if allowed.ok else refused)
    if not allowed.ok:
        return
    low, high = (".".join(map(str, v)) for v in TESTED)
    known = _numbers(proxy.version)
    if known is None:
        yield Check("version", "LiteLLM", None, "its API page does not say", f"tested are {low} to before {high}")
        return
    tested = TESTED[0] <= known < TESTED[1]
    yield Check(
        "version", f"LiteLLM {proxy.version}", tested, f"tested are {low} to before {high}", "" if tested else "install one of them"
    )


def _numbers(version: str | None) -> tuple[int, ...] | None:
    """Return a version's three numbers.

    >>> _numbers("1.108.7"), _numbers("1.109.0rc1"), _numbers(None)
    ((1, 108, 7), (1, 109, 0), None)
    """
    parts = (version or "").split(".")[:3]
    digits = ["".join(c for i, c in enumerate(p) if p[: i + 1].isdigit()) for p in parts]
    return tuple(map(int, digits)) if len(digits) == 3 and all(digits) else None


def listed(proxy: Proxy, groups: Sequence[str]) -> Iterator[Check]:
    """Check that every model group exists and that the key may use it."""
    for group in groups:
        there = group in (proxy.usable or ())
        found = "there, and this key may use it" if there else "not among those that this key may use"
        fix = "" if there else f"add the entry of {group} to model_list, or allow the key to use it"
        yield Check("model group", group, there, found, fix)


def stated_quotas(proxy: Proxy) -> dict[str, dict[str, float]]:
    """Return the quotas that the deployments state, summed over those of a group.

    A group has none where one of its deployments is unlimited, or states what is no number, as the name of a variable.
    """
    found: dict[str, dict[str, list[float | None]]] = {}
    for deployment in proxy.deployments or ():
        stated = {**(deployment.get("model_info") or {}), **(deployment.get("litellm_params") or {})}
        own = found.setdefault(str(deployment.get("model_name")), {name: [] for name in _STATED.values()})
        for theirs, name in _STATED.items():
            own[name].append(_positive(stated.get(theirs)))
    return {
        group: {name: sum(v for v in values if v is not None) for name, values in own.items() if values and None not in values}
        for group, own in found.items()
    }


def _positive(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if 0 < found < math.inf else None


def quotas(peaks: Peaks, limits: Quotas, models: Sequence[str], whose: str) -> Iterator[Check]:
    """Set the busiest minute of each model under the plan against its quota; ``whose`` says of which log, and with whose tokens."""
    for model in models:
        if model not in peaks:
            yield Check("quota", model, None, UNKNOWN_PEAK, "give one with --log")
            continue
        need = {name: own["plan"] for name, own in peaks[model].items()}
        need["tpm"] = need["input_tpm"] + need["output_tpm"]
        own = {name: limits[model][name] for name in _STATED.values() if model in limits and name in limits[model]}
        if not own:
            shown = f"busiest minute {whose}: {need['rpm']:,.0f} calls, {need['tpm']:,.0f} tokens"
            yield Check("quota", model, None, f"{shown}; no quota is known", "state it with --quota FILE")
            continue
        for name, limit in own.items():
            enough = need[name] <= limit
            fix = "" if enough else f"raise the quota to {need[name]:,.0f}, or leave {model} out of the candidates"
            yield Check("quota", model, enough, f"busiest minute {whose}: {need[name]:,.0f} of {limit:,.0f} {name}", fix)


def retirements(router: Router, proxy: Proxy, book: PriceBook, today: dt.date) -> Iterator[Check]:
    """Check that no candidate has retired, by the bundle, the gateway's own list and the price book."""
    for model, can in zip(router.candidates, router.capabilities, strict=True):
        infos = [d.get("model_info") or {} for d in proxy.deployments or () if d.get("model_name") == model]
        stated = {d for d in (can.retires, *(str(i.get("deprecation_date") or "") for i in infos)) if d}
        dates, said = sorted(d for d in stated if _is_date(d)), _said(model, book)
        unread = sorted(d for d in stated if not _is_date(d))
        if unread and not any(dt.date.fromisoformat(d) <= today for d in dates):
            yield Check(
                "retirement", model, None, f"retires on {unread[0]!r:.40}, which is no date", "look it up: a date is year-month-day"
            )
        elif not dates:
            yield Check("retirement", model, None if said else True, said or "none announced", "choose a successor" if said else "")
        else:
            days = (dt.date.fromisoformat(dates[0]) - today).days
            fix = f"train without {model}, or with its successor" if days <= _SOON_DAYS else ""
            when = f"retires on {dates[0]}, in {days:,} days" if days > 0 else f"retired on {dates[0]}, {-days:,} days ago"
            yield Check("retirement", model, days > 0, when if days else f"retires today, on {dates[0]}", fix)


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _said(model: str, book: PriceBook) -> str | None:
    try:
        return book.retired(model)
    except PriceError:
        return None
