"""Priced: what rows cost, in integers, with a reason where there is no price.

In: the kernel's choice of rates per row. Out: cost, cost per token bucket, evidence, and the problems as a table. Knows
nothing of how a reason came about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from planner.prices import kernel

__all__ = ["NO_TOKENS", "Priced"]

#: Why an answered request has no price although its model has one.
NO_TOKENS = "no token counts: no cost"


@dataclass(frozen=True, eq=False)
class Priced:
    """``n`` priced rows.

    Parameters
    ----------
    cost_pusd: int64 (n,) [pUSD], 0 where a row has no price.
    reason: int32 (n,), 0 where priced, else the position in ``reasons``.
    reasons: one sentence each; the first is empty.
    evidence: int8 (n,), codes into ``schema.EVIDENCE``: ``assumed`` where the rate was.
    """

    cost_pusd: NDArray[np.int64]
    reason: NDArray[np.int32]
    reasons: tuple[str, ...]
    evidence: NDArray[np.int8]
    _combos: tuple[tuple[str, ...], ...] = field(repr=False)
    _table: kernel.RateTable = field(repr=False)
    _chosen: kernel.Chosen = field(repr=False)
    _tokens: NDArray[np.int64] = field(repr=False)

    @classmethod
    def of(
        cls,
        table: kernel.RateTable,
        chosen: kernel.Chosen,
        tokens: NDArray[np.int64],
        code: NDArray[np.int64] | None,
        combos: Sequence[tuple[str, ...]],
        why: Callable[[int, int], str],
    ) -> Priced:
        """Price ``chosen`` rows; ``why(combination, kind)`` says what a kind of trouble means for a combination."""
        reason = np.zeros(len(tokens), np.int32)
        kinds: list[tuple[int, int]] = []
        bad = np.flatnonzero(chosen.trouble)
        if len(bad):
            own = np.zeros(len(bad), np.int64) if code is None else code[bad]
            distinct, inverse = np.unique(own * (kernel.NEGATIVE + 1) + chosen.trouble[bad], return_inverse=True)
            reason[bad] = 1 + inverse
            kinds = [divmod(int(x), kernel.NEGATIVE + 1) for x in distinct]
        reasons = ("", *(why(*k) for k in kinds))
        named = (("", "", ""), *(combos[i] for i, _ in kinds))
        return cls(kernel.cost(table, chosen, tokens), reason, reasons, chosen.evidence, named, table, chosen, tokens)

    def __len__(self) -> int:
        return len(self.cost_pusd)

    def without(self, rows: NDArray[np.bool_], reason: str) -> Priced:
        """Return the same with no price, for ``reason``, at those of ``rows`` that had one; they must cost nothing."""
        rows = rows & (self.reason == 0)
        if not rows.any():
            return self
        code = np.where(rows, np.int32(len(self.reasons)), self.reason)
        return replace(self, reason=code, reasons=(*self.reasons, reason), _combos=(*self._combos, ("", "", "")))

    @cached_property
    def parts_pusd(self) -> NDArray[np.int64]:
        """Cost per token bucket [pUSD], shape (n, 6); every row sums exactly to its cost. Fees per request count as input."""
        return kernel.parts(self._table, self._chosen, self._tokens)

    @cached_property
    def problems(self) -> pd.DataFrame:
        """Rows without a price: ``provider, model, tier, reason, rows``, most rows first."""
        rows = np.bincount(self.reason, minlength=len(self.reasons))
        table = pd.DataFrame([(*c, r, n) for c, r, n in zip(self._combos, self.reasons, rows.tolist(), strict=True)][1:])
        table.columns = pd.Index(["provider", "model", "tier", "reason", "rows"][: len(table.columns)])
        if table.empty:
            return pd.DataFrame({c: [] for c in ("provider", "model", "tier", "reason", "rows")})
        return table.sort_values("rows", ascending=False, kind="stable", ignore_index=True)
