"""Lever: one thing that could be done differently, as a plain value.

In: columns, text and router scores of requests (Block). Out: what each would send (Intents). Each lever declares its
phase, the columns it needs, what it writes, its apps and its key, so that a whole plan is checked before anything runs.
Knows nothing of prices, outcomes or of any particular lever: siblings import only this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, did_you_mean
from planner.router import Requests, Router, Scores
from planner.schema import STATUSES
from planner.traffic.derived import Piece, joined
from planner.traffic.rows import Rows

__all__ = ["FAILURES", "PHASES", "Block", "Intents", "Lever", "LeverError", "RowLever", "Settings", "in_apps", "sent_to"]

Texts: TypeAlias = Callable[[str], Iterator[Requests]]
Prompts: TypeAlias = Callable[[], Iterable[Sequence[str | None]]]
Store: TypeAlias = Callable[[str, Callable[[], Iterable[Piece]]], dict[str, NDArray[Any]]]

#: Row levers say what each request would send, vectorised; event levers hold state that spans requests.
PHASES = ("row", "event")
#: How a call may fail.
FAILURES = STATUSES[1:]
#: Above it whole numbers are no longer exact.
_LARGEST = 2.0**53


class Block:
    """``n`` requests as row levers read them: columns, text in the router's own form, and router scores kept once made.

    Parameters
    ----------
    rows: the columns.
    at: ISO date that decides which models have retired.
    requests: given a router's unit, yields the text in consecutive pieces; called only when a router must score.
    prompts: yields the messages as they are stored, in consecutive pieces, None where the log lacks a prompt's whole text.
    stored: looks up or makes named arrays that outlive this object (``Traffic.derived``); None keeps them in memory only.
    """

    def __init__(self, rows: Rows, at: str, requests: Texts, prompts: Prompts = tuple, stored: Store | None = None) -> None:
        self.rows = rows
        self.at = at
        self.prompts = prompts
        self._requests = requests
        self._stored = stored
        self._scores: dict[str, Scores] = {}

    def scores(self, router: Router) -> Scores:
        """Return ``router``'s scores of all requests; they depend on its family, not on its τ."""
        if router.family not in self._scores:
            make = partial(_score, router, self._requests, self.at)
            self._scores[router.family] = Scores(**self.derived(f"scores-{router.family}-{self.at}", make))
        return self._scores[router.family]

    def derived(self, name: str, make: Callable[[], Iterable[Piece]]) -> dict[str, NDArray[Any]]:
        """Return named arrays over all requests, kept where the block keeps things; ``name`` carries the version of the method.

        ``make`` gives them in consecutive pieces.
        """
        return self._stored(name, make) if self._stored else joined(make())


def _score(router: Router, requests: Texts, at: str) -> Iterator[Piece]:
    for piece in requests(router.unit):
        found = router.scores(piece, at)
        yield {f.name: getattr(found, f.name) for f in fields(Scores)}


@dataclass(frozen=True, eq=False)
class Intents:
    """What each of ``n`` requests would send if it reached a provider; −1 is as logged.

    Parameters
    ----------
    model: codes into ``models``. tier: codes into ``tiers``. variant: codes into ``variants``, the prompt variants of the labels.
    removed: input tokens that are no longer sent, ≥ 0; what was neither read from nor written to a prompt cache goes first.
    submit_ms: time after the arrival before which it is not sent [ms]. stream: whether its answer is streamed, 1 or 0.
    """

    model: NDArray[np.int32]
    tier: NDArray[np.int32]
    variant: NDArray[np.int32]
    removed: NDArray[np.int64]
    submit_ms: NDArray[np.float64]
    stream: NDArray[np.int32]
    models: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()

    @classmethod
    def as_logged(cls, n: int) -> Intents:
        """The intents of the empty plan."""
        same = np.full(n, -1, np.int32)
        return cls(same, same, same, np.zeros(n, np.int64), np.zeros(n), same)


class Lever(Protocol):
    """One change, as a value."""

    @property
    def key(self) -> str:
        """What at most one lever of a plan may be in one app, for example ``route``; its ``kind`` in plan files."""

    @property
    def phase(self) -> str:
        """One of PHASES."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Traffic columns without which the lever cannot speak; ``a|b`` is one of the two."""

    @property
    def writes(self) -> tuple[str, ...]:
        """The Intents columns it decides: two levers may not decide the same one in one app."""

    @property
    def apps(self) -> tuple[str, ...] | None:
        """The apps it changes; None: all."""

    @property
    def uses(self) -> tuple[str, ...]:
        """The models it may call or names."""

    def payload(self) -> dict[str, Any]:
        """Return the lever as plain values, ``kind`` among them."""

    def words(self) -> str:
        """Say what it does, for people, in one clause."""


@runtime_checkable
class RowLever(Lever, Protocol):
    """A lever of the row phase. ``apply`` is pure: the same block and intents give the same intents."""

    def apply(self, block: Block, intents: Intents) -> Intents:
        """Return what the requests would send with this lever on; what it does not decide stays as intended before."""


class LeverError(InputError):
    """A field of a lever that cannot be as it is; ``path`` leads to it: the field's name, then the key in it."""

    def __init__(self, path: tuple[Any, ...], got: str, expected: str = "", fix: str = "") -> None:
        super().__init__(got, expected, fix)
        self.path = path


class Settings:
    """What dataclasses of plain settings share: their payload, and checks that name the field.

    A subclass gives ``key`` and its fields, and calls the checks from ``__post_init__``. Numbers become float (or int),
    lists tuples, so that equal settings have equal payloads.
    """

    key: str
    phase: str = "event"
    needs: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    @property
    def uses(self) -> tuple[str, ...]:
        """The models it may call or names."""
        return ()

    def payload(self) -> dict[str, Any]:
        """Return the lever as plain values, ``kind`` among them."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {"kind": self.key, **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}}

    def refuse(self, name: str, expected: str, fix: str = "", *keys: Any) -> LeverError:
        """Return the error that ``name`` (or what it holds at ``keys``) is not ``expected``."""
        value = getattr(self, name)
        for key in keys:
            value = value[key]
        return LeverError((name, *keys), f"{' '.join([self.key, name, *map(str, keys)])} is {value!r}", expected, fix)

    def unknown(self, name: str, key: Any, known: Sequence[str], *inside: Any) -> LeverError:
        """Return the error that the mapping ``name`` (or the one in it at ``inside``) has ``key``, which is none of ``known``."""
        fix = did_you_mean(str(key), known)
        got = f"{' '.join([self.key, name, *map(str, inside)])} names {key!r}"
        return LeverError((name, *inside, key), got, f"some of {', '.join(known)}", fix)

    def number(self, name: str, expected: str, low: float, high: float = _LARGEST, *, whole: bool = False, optional: bool = False) -> None:
        """Check that ``name`` is a finite number from ``low`` to ``high``, or None if ``optional``."""
        value = getattr(self, name)
        if value is None and optional:
            return
        if not is_number(value, low, high) or (whole and value != int(value)):
            raise self.refuse(name, expected)
        object.__setattr__(self, name, int(value) if whole else float(value))

    def flag(self, name: str) -> None:
        """Check that ``name`` is true or false."""
        if not isinstance(getattr(self, name), bool):
            raise self.refuse(name, "true or false")

    def text(self, name: str, expected: str, known: Sequence[str] = (), *, optional: bool = False) -> None:
        """Check that ``name`` is a name, one of ``known`` if given, or None if ``optional``."""
        value = getattr(self, name)
        if value is None and optional:
            return
        if not isinstance(value, str) or not value or (known and value not in known):
            raise self.refuse(name, expected, did_you_mean(str(value), known))

    def names(self, name: str, expected: str, known: Sequence[str] = (), *, least: int = 1, optional: bool = False) -> None:
        """Check that ``name`` lists at least ``least`` different names, of ``known`` if given; or is None if ``optional``."""
        value = getattr(self, name)
        if value is None and optional:
            return
        if not isinstance(value, tuple | list) or len(value) < least or not all(isinstance(v, str) and v for v in value):
            raise self.refuse(name, expected)
        for v in value:
            if value.count(v) > 1 or (known and v not in known):
                raise self.refuse(name, expected, did_you_mean(v, known) if known and v not in known else f"name {v!r} once")
        object.__setattr__(self, name, tuple(value))

    def some_apps(self, *, optional: bool = True) -> None:
        """Check the field ``apps``."""
        self.names("apps", "a list of apps" + " (leave it out for all)" * optional, optional=optional)


def is_number(value: Any, low: float, high: float = _LARGEST) -> bool:
    """Say whether ``value`` is a number in [low, high]; true and false are none.

    >>> is_number(2, 1), is_number("2", 1), is_number(True, 0), is_number(float("nan"), 0)
    (True, False, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def where(apps: tuple[str, ...] | None) -> str:
    """Say which apps are meant.

    >>> where(("chat", "search")), where(None)
    ('in chat, search', 'in all apps')
    """
    return "in all apps" if apps is None else f"in {', '.join(apps)}"


def in_apps(rows: Rows, apps: tuple[str, ...] | None) -> NDArray[np.bool_]:
    """Return which of ``rows`` are users' own requests of ``apps`` (None: of all) that reached a provider, shape (n,)."""
    if apps is None:
        return rows.steerable
    return np.asarray(rows.steerable & np.isin(rows.app.codes, [rows.app.code(a) for a in apps]))


def sent_to(intents: Intents, mask: NDArray[np.bool_], codes: NDArray[Any] | int, models: tuple[str, ...]) -> Intents:
    """Return ``intents`` with ``models[codes]`` where ``mask``; ``codes`` has shape (n,) or is one number."""
    names = (*intents.models, *(m for m in models if m not in intents.models))
    place = np.array([names.index(m) for m in models], np.int32)
    return replace(intents, model=np.where(mask, place[codes], intents.model), models=names)
