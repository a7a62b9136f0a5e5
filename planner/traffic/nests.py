"""Which calls lie in which: spans of one trace that state the same usage once more.

In: per record of a log the calls in it and what lies around what, in order. Out: which of the calls lie around one that was met, here or
before. Children end first, so that a bounded memory of what lies around the calls met so far is enough. Knows nothing of attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from itertools import islice

__all__ = ["AROUND", "Around", "Nest"]

#: Why such a call is set aside.
AROUND = "a span around a call that has a span of its own, which is counted"
#: Spans around calls that are remembered; a trace is over long before so many others have ended.
_REMEMBERED = 1 << 17


@dataclass(frozen=True, slots=True)
class Nest:
    """The spans of one record: ``above`` is span → the one around it, ``counted`` are those that are calls with usage and lie in another.

    ``calls`` names the calls among them by their places in the record.
    """

    above: Mapping[str, str]
    counted: Set[str]
    calls: Mapping[int, str]


class Around:
    """The spans that lie around calls, of all nests ``met`` so far.

    >>> around = Around()
    >>> around.met(Nest({"inner": "outer"}, {"inner"}, {0: "inner"})), around.met(Nest({}, set(), {0: "outer", 1: "other"}))
    (set(), {0})
    """

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def met(self, nest: Nest) -> set[int]:
        """Return the places of the calls of ``nest`` that lie around another call."""
        if nest.above:
            self._remember(nest)
        return {place for place, key in nest.calls.items() if key in self._known} if self._known else set()

    def _remember(self, nest: Nest) -> None:
        """Add every span above a call with usage, or above a span that is known to lie around one."""
        found: dict[str, None] = {}
        for key in nest.above:
            if key in self._known or key in nest.counted:
                up: str | None = nest.above[key]
                while up is not None and up not in found:
                    found[up] = None
                    up = nest.above.get(up)
        self._known.update(found)
        if len(self._known) > _REMEMBERED:
            for key in list(islice(self._known, len(self._known) - _REMEMBERED // 2)):
                del self._known[key]
