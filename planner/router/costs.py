"""What a request would cost at each candidate, as far as a decision needs it.

In: rates per candidate, fixed when the router was made, and input tokens. Out: float64 USD (n, K). The bill is not computed
here. Knows nothing of price books.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError

__all__ = ["Costs"]

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Costs:
    """Rates of K candidates; every array has shape (K,). InputError for a rate that is no finite number: it could not be compared.

    Parameters
    ----------
    input_usd_per_mtok, output_usd_per_mtok: [USD per million tokens].
    output_tokens: [tokens] expected of one answer.
    usd_per_request: [USD] added to every request: a fee, or the whole cost where no rates are known.
    basis: where the rates come from, with the date; a stated ranking says that it is no dollars.
    """

    input_usd_per_mtok: F64
    output_usd_per_mtok: F64
    output_tokens: F64
    usd_per_request: F64
    basis: str = "stated"

    def __post_init__(self) -> None:
        """Check the rates."""
        for name, rates in self._arrays():
            if not np.isfinite(rates).all():
                raise InputError(f"{name} {np.asarray(rates).tolist()}", "finite numbers", "state a rate for every candidate")

    def usd(self, input_tokens: NDArray[np.int64]) -> F64:
        """Return expected cost [USD], shape (n, K).

        >>> one = np.ones(1)
        >>> Costs(one * 3, one * 15, one * 200, one * 0).usd(np.array([1000])).tolist()
        [[0.006]]
        """
        per_token, fixed = self._rates
        return input_tokens[:, None] * per_token + fixed

    def usd_of(self, input_tokens: int) -> list[float]:
        """Return expected cost [USD] of one request, K numbers: those of ``usd``.

        >>> one = np.ones(1)
        >>> Costs(one * 3, one * 15, one * 200, one * 0).usd_of(1000)
        [0.006]
        """
        return [input_tokens * rate + rest for rate, rest in self._pairs]

    @cached_property
    def _rates(self) -> tuple[F64, F64]:
        """[USD] per input token, and per request."""
        return self.input_usd_per_mtok / 1e6, self.usd_per_request + self.output_tokens * self.output_usd_per_mtok / 1e6

    @cached_property
    def _pairs(self) -> list[tuple[float, float]]:
        per_token, fixed = self._rates
        return list(zip(per_token.tolist(), fixed.tolist(), strict=True))

    def take(self, columns: NDArray[np.int64]) -> Costs:
        """Keep the candidates at ``columns``."""
        rates = (self.input_usd_per_mtok[columns], self.output_usd_per_mtok[columns])
        return Costs(*rates, self.output_tokens[columns], self.usd_per_request[columns], self.basis)

    def state(self) -> dict[str, Any]:
        """Return plain values, for a manifest."""
        return {**{name: rates.tolist() for name, rates in self._arrays()}, "basis": self.basis}

    def _arrays(self) -> list[tuple[str, F64]]:
        return [(f.name, getattr(self, f.name)) for f in fields(self) if f.name != "basis"]

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Costs:
        """Build from ``state()``."""
        values: dict[str, Any] = {k: v if isinstance(v, str) else np.asarray(v, float) for k, v in state.items()}
        return cls(**values)
