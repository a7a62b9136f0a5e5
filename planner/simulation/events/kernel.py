"""The event phase: what becomes of requests when caches, limits, failures, retries and hedges join their fates.

In: a World. Out: the calls that were made, and how each request ended. The first run on a machine compiles the loop, which
takes some seconds; later ones load it. Knows nothing of models, apps, prices or evidence.
"""

from __future__ import annotations

import numpy as np

from planner.simulation.events.checks import checked
from planner.simulation.events.inputs import Happened, World
from planner.simulation.events.loop import run
from planner.simulation.events.records import columns
from planner.simulation.events.state import FOREVER_US, State, begin, with_more_room

__all__ = ["CALLS", "happen", "happened", "played"]

#: The columns of ``Happened`` that are about calls.
CALLS: dict[str, type[np.generic]] = {
    **dict.fromkeys(("row", "start_us", "end_us", "first_us", "whole_us", "warm", "written"), np.int64),
    **{"lane": np.int16, "attempt": np.int32, "drawn": np.int32, "purpose": np.int8, "kind": np.int8},
}
_ENDS: dict[str, type[np.generic]] = {
    **dict.fromkeys(("arrived_us", "done_us", "answer_us", "answer", "source"), np.int64),
    "end": np.int8,
}


def happen(world: World) -> Happened:
    """Let the requests happen as ``docs/events.md`` states.

    Parameters
    ----------
    world: checked before anything runs; arrays of the documented types are not copied.

    Returns
    -------
    Happened
        ``m`` calls in the order in which they began, and the end of each of the ``n`` requests. The same world gives the same bytes.

    Raises
    ------
    InputError: a column of another shape, type or range, or a clock that goes backwards.

    Examples
    --------
    One request whose only lane takes 2 ms to the first token and 5 ms in all, and never fails:

    >>> import numpy as np
    >>> from planner.simulation.events.inputs import (
    ...     HISTORIES, SCORES, Lanes, Limits, Log, PromptCacheRules, Requests, ResponseCache, Retries)
    >>> n, one = 1, np.ones(1, int)
    >>> zero, none = 0 * one, -one
    >>> requests = Requests(zero, np.ones(1, np.uint64), none, zero, zero, np.zeros((1, 1), int), none, one > 0, zero, none, zero, zero)
    >>> lanes = Lanes(np.array([[2000]]), np.array([[5000]]), one[:, None], one[:, None], zero, np.zeros((1, 1, HISTORIES, 5)),
    ...     np.zeros((1, 6), int), np.ones((1, len(SCORES))), 0.0, np.zeros((1, 1, 3, 2), np.uint64))
    >>> log = Log(none, zero, zero, zero, zero, zero, np.zeros(1))
    >>> retries = Retries(zero, np.zeros((1, 6), int), np.zeros((1, 6), bool), zero, zero, np.ones(1), np.zeros(1),
    ...     np.zeros((1, 2), np.uint64), one > 0, np.full(1, np.inf), np.full(1, np.inf), zero)
    >>> responses = ResponseCache(none, np.zeros(0, int), np.zeros(2, int), zero)
    >>> prompts = PromptCacheRules(np.zeros(0, int), np.zeros(2, int), none, zero, zero, zero, np.ones(1))
    >>> all_of_it = happen(World(requests, lanes, log, retries, responses, prompts, Limits(none, np.zeros((0, 3)))))
    >>> all_of_it.answer_us.tolist(), all_of_it.done_us.tolist()
    ([2000], [5000])
    """
    return happened(played(begin(checked(world)), FOREVER_US))


def played(state: State, until_us: int) -> State:
    """Let all happen that is to happen before ``until_us``, in place; the state that is returned may have more room."""
    state.progress["until_us"] = until_us
    while not run(state):
        state = with_more_room(state)
    return state


def happened(state: State) -> Happened:
    """Return what has happened so far, as columns."""
    calls = columns(state.calls[: state.progress["calls"][0]], CALLS)
    return Happened(**calls, **columns(state.requests, _ENDS))
