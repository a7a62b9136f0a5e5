"""The tokens of a request on another model, and how sure they are.

In: logged tokens, the ratio of two models, how long answers that were cut would have been. Out: token buckets and evidence. Knows nothing
of where a ratio comes from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.outcomes.lengths import limited, unlimited, was_cut
from planner.outcomes.ratios import Ratio
from planner.schema import EVIDENCE
from planner.traffic.rows import Coded

__all__ = ["NO_EFFORTS", "UNKNOWN", "Efforts", "scaled", "told"]

#: What is assumed of two models that no label pairs: that they are alike.
UNKNOWN = Ratio(None, None, None, None, 0)
ESTIMATED, ASSUMED = EVIDENCE.index("estimated"), EVIDENCE.index("assumed")


@dataclass(frozen=True, eq=False)
class Efforts:
    """The reasoning effort that requests asked for: ``key`` (m,) of their draws, ascending, and ``effort`` (m,); others asked for none."""

    key: NDArray[np.uint64]
    effort: Coded

    @classmethod
    def of(cls, key: NDArray[np.uint64], asked: Coded) -> Efforts:
        """Keep the requests of ``key`` that ``asked`` (n,) for something; ``""`` is nothing."""
        names = tuple(sorted({*asked.values} - {""}))
        codes = np.array([names.index(v) if v else -1 for v in asked.values] or [-1], np.int32)[asked.codes]
        some = np.flatnonzero(codes >= 0)
        order = some[np.argsort(key[some], kind="stable")]
        return cls(key[order], Coded(codes[order], names))

    def find(self, key: NDArray[np.uint64]) -> Coded:
        """Return the effort of each request, ``""`` where it asked for none.

        >>> efforts = Efforts.of(np.array([7, 3], np.uint64), Coded(np.array([1, 0], np.int32), ("", "high")))
        >>> efforts.find(np.array([3, 7], np.uint64)).decode().tolist()
        ['', 'high']
        """
        if not len(self.key):
            return Coded(np.zeros(len(key), np.int32), ("",))
        at = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return Coded(np.where(self.key[at] == key, self.effort.codes[at] + 1, 0).astype(np.int32), ("", *self.effort.values))


NO_EFFORTS = Efforts(np.zeros(0, np.uint64), Coded(np.zeros(0, np.int32), ()))


def scaled(
    tokens: NDArray[np.int64], max_tokens: NDArray[np.float64], ratio: Ratio, law: tuple[float, float] | None = None
) -> NDArray[np.int64]:
    """Return what ``tokens`` (n, 6) become on the other model.

    Input buckets are scaled alike. The visible answer is what it would have been without its limit (``law``: that of the logged
    model's log lengths), times the ratio, cut at the limit again: the mean of what the limit leaves, since answers differ by more than
    the ratio. Reasoning is derived from the visible answer.
    """
    out = tokens.copy()
    out[:, :4] = np.rint(tokens[:, :4] * (1.0 if ratio.input is None else ratio.input))
    visible = tokens[:, 4].astype(float)
    if law is not None:
        visible = np.where(was_cut(visible, tokens[:, 5].astype(float), max_tokens), unlimited(visible, law), visible)
    most = np.where(np.isnan(max_tokens), np.inf, max_tokens)
    out[:, 4] = np.rint(limited(visible * (1.0 if ratio.output is None else ratio.output), most, ratio.spread))
    if ratio.reasoning is not None:
        out[:, 5] = np.rint(visible * ratio.reasoning)
    return out


def told(tokens: NDArray[np.int64], later: NDArray[np.bool_], ratio: Ratio) -> NDArray[np.int8]:
    """Estimated where paired labels give the ratios; else assumed, as is a warm prompt cache and a turn after a changed one."""
    known = ratio.input is not None and ratio.output is not None
    reasons = known & ((tokens[:, 5] == 0) | (ratio.reasoning is not None))
    return np.where(reasons & ~later & (tokens[:, 1:4].sum(axis=1) == 0), ESTIMATED, ASSUMED).astype(np.int8)
