"""Budget: money that is set aside before a call and settled after it, so that no order of events spends more than there is.

In: a limit, what is spent already, the most that each call may cost. Out: whether a call may be made. Knows nothing of calls.
"""

from __future__ import annotations

import threading

__all__ = ["Budget"]


class Budget:
    """``limit_pusd`` [pUSD] for many threads: spent + held never exceeds it.

    >>> budget = Budget(100, spent_pusd=30)
    >>> budget.reserve(60), budget.left_pusd
    (True, 10)
    >>> budget.settle(60, 25)
    >>> budget.left_pusd, budget.reserve(46), budget.reserve(1)
    (45, False, False)
    """

    def __init__(self, limit_pusd: int, spent_pusd: int = 0) -> None:
        self._limit, self._spent, self._held = limit_pusd, spent_pusd, 0
        self._settled = threading.Condition()
        self._turn = threading.Lock()
        self._closed = False

    @property
    def spent_pusd(self) -> int:
        """What is spent [pUSD]."""
        return self._spent

    @property
    def left_pusd(self) -> int:
        """What is neither spent nor held [pUSD]."""
        return self._limit - self._spent - self._held

    @property
    def closed(self) -> bool:
        """Whether something did not fit, after which nothing does: skipping to cheaper calls would bias what is answered."""
        return self._closed

    def reserve(self, at_most_pusd: int) -> bool:
        """Set ``at_most_pusd`` aside, in the order of asking; wait while calls under way may give back enough.

        False when it does not fit, then and from then on.
        """
        with self._turn, self._settled:
            while not self._closed and at_most_pusd > self.left_pusd:
                if not self._held:
                    self._closed = True
                else:
                    self._settled.wait()
            if self._closed:
                return False
            self._held += at_most_pusd
            return True

    def close(self) -> None:
        """Let nothing more be reserved, and whoever waits go."""
        with self._settled:
            self._closed = True
            self._settled.notify_all()

    def settle(self, reserved_pusd: int, cost_pusd: int) -> None:
        """Turn what was reserved into what it cost."""
        with self._settled:
            self._held -= reserved_pusd
            self._spent += cost_pusd
            self._settled.notify_all()
