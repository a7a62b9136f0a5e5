"""From predicted quality levels to a gain: what a straight line cannot say.

In: for each request the direct gains of K candidates and the predicted quality levels of L models, as a linear scorer gives
them. Out: gains (n, K). A better model adds little where both fail and little where both succeed; its gain is a hump over the
levels, which products of the levels describe. Knows nothing of features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.router.hashing import I64

__all__ = ["Link", "products"]

F64 = NDArray[np.float64]


def products(own: F64, home: F64) -> F64:
    """Return own², home² and own · home of centred levels, (n, 3).

    >>> products(np.array([0.5]), np.array([-0.25])).tolist()
    [[0.25, 0.0625, -0.125]]
    """
    return np.stack([own * own, home * home, own * home], axis=-1)


@dataclass(frozen=True, eq=False)
class Link:
    """Gain of candidate k = its direct gain + products(level of k, level of the reference) · coef[k], levels less ``centre``.

    Parameters
    ----------
    own: (K,) position of each candidate's level; home: that of the reference's, which may be no candidate.
    centre: float32 (L,). coef: float32 (K, 3).
    """

    own: I64
    home: int
    centre: NDArray[np.float32]
    coef: NDArray[np.float32]

    def gains(self, raw: F64) -> F64:
        """Return gains (n, K) of ``raw`` (n, K + L): direct gains, then levels."""
        k, (centre, own2, home2, both) = len(self.own), self._exact
        level = raw[:, k:] - centre
        own, home = level.take(self.own, 1), level[:, self.home : self.home + 1]
        found: F64 = raw[:, :k] + own * (own * own2 + home * both) + home * home * home2
        return found

    @cached_property
    def _exact(self) -> tuple[F64, F64, F64, F64]:
        """The centre, and the coefficients of ``products``, one array each."""
        own2, home2, both = self.coef.astype(np.float64).T
        return self.centre.astype(np.float64), own2, home2, both

    def take(self, columns: I64) -> tuple[Link, I64]:
        """Keep the candidates at ``columns``; also return which of the K + L columns those need."""
        levels, place = np.unique(np.append(self.own[columns], self.home), return_inverse=True)
        kept = Link(place[:-1], int(place[-1]), self.centre[levels], self.coef[columns])
        return kept, np.concatenate([columns, len(self.own) + levels])

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return settings and arrays."""
        return {"own": self.own.tolist(), "home": self.home}, {"link_centre": self.centre, "link_coef": self.coef}

    @classmethod
    def of(cls, state: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Link:
        """Build from ``state()``."""
        return cls(np.asarray(state["own"], np.int64), int(state["home"]), arrays["link_centre"], arrays["link_coef"])
