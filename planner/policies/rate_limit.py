"""RateLimit: what a provider lets through a minute.

In: limits by model or provider. Out: settings that the event phase follows with token buckets, which start full and refill
evenly. Whether prompt-cache reads count is a provider rule. Knows nothing of the traffic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.policies.base import Settings, is_number

__all__ = ["LIMITS", "RateLimit"]

#: The three numbers of a limit, each a minute; inf: no limit.
LIMITS = ("rpm", "input_tpm", "output_tpm")


@dataclass(frozen=True)
class RateLimit(Settings):
    """Refuse calls beyond a limit: requests, input tokens and output tokens a minute, over all apps together.

    Parameters
    ----------
    limits: by model or provider (a model's own limit goes first): (rpm, input_tpm, output_tpm), None where there is no limit;
        in a file a mapping with these names.

    Examples
    --------
    >>> lever = RateLimit({"gpt-5-mini": (500, 200_000, None)})
    >>> lever.limits["gpt-5-mini"], lever.words()
    ((500.0, 200000.0, inf), 'rate limit of gpt-5-mini: 500 rpm, 200,000 input_tpm')
    """

    limits: Mapping[str, tuple[float, float, float]]

    key = "rate_limit"
    apps = None

    def __post_init__(self) -> None:
        if not isinstance(self.limits, Mapping) or not self.limits:
            raise self.refuse("limits", f"a model or provider with {', '.join(LIMITS)}")
        if not all(isinstance(name, str) and name for name in self.limits):
            raise self.refuse("limits", "names of models or providers")
        object.__setattr__(self, "limits", {name: self._limit(name) for name in self.limits})

    def _limit(self, name: str) -> tuple[float, ...]:
        given: Any = self.limits[name]
        if isinstance(given, Mapping):
            for key in given:
                if key not in LIMITS:
                    raise self.unknown("limits", key, LIMITS, name)
            values = {k: given.get(k) for k in LIMITS}
        elif isinstance(given, tuple | list) and len(given) == len(LIMITS):
            values = dict(zip(LIMITS, given, strict=True))
        else:
            raise self.refuse("limits", f"{', '.join(LIMITS)} of each", "", name)
        numbers = [v for v in values.values() if v not in (None, math.inf)]
        if not numbers or not all(is_number(v, 1) for v in numbers):
            raise self.refuse("limits", f"numbers ≥ 1 for some of {', '.join(LIMITS)}", "", name)
        return tuple(math.inf if v is None else float(v) for v in values.values())

    @property
    def uses(self) -> tuple[str, ...]:
        """The models or providers that are limited."""
        return tuple(self.limits)

    def payload(self) -> dict[str, Any]:
        """Return the lever as plain values."""
        named = {name: {k: None if math.isinf(v) else v for k, v in zip(LIMITS, limit, strict=True)} for name, limit in self.limits.items()}
        return {"kind": self.key, "limits": named}

    def words(self) -> str:
        """Say what it does, for people."""
        shown = [
            f"{name}: {', '.join(f'{v:,g} {k}' for k, v in zip(LIMITS, limit, strict=True) if math.isfinite(v))}"
            for name, limit in self.limits.items()
        ]
        return f"rate limit of {'; '.join(shown)}"
