"""Router: what production asks which model a request goes to.

In: messages and what came with them. Out: a model with the reason, for one request or for columns of them; what simulation
and training need of it, the scores behind every τ. Whatever the input, a decision comes back: at worst the reference, with the
reason. Knows nothing of training, price books or gateways.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, did_you_mean
from planner.router.capabilities import KEEP, REASONS, UNREADABLE, Capability, Support
from planner.router.costs import Costs
from planner.router.decision import choose, choose_one
from planner.router.gate import Gate
from planner.router.requests import UNITS, Requests
from planner.router.state import Scorer, digest

__all__ = ["Decision", "Router", "Scores", "rebased"]


@dataclass(frozen=True, slots=True)
class Decision:
    """``model`` to call, its predicted gain over the reference (``score``; 0 for the reference itself), why, and the router's version."""

    model: str
    score: float
    reason: str
    version: str


@dataclass(frozen=True, eq=False, slots=True)
class Scores:
    """What a decision at any τ follows from, for n requests and K candidates.

    Parameters
    ----------
    gains: float32 (n, K): predicted quality gain over the reference.
    cost_usd: float64 (n, K): [USD] expected.
    feasible: bool (n, K).
    abstain: int8 (n,): a code of REASONS, 0 where the router does not abstain.
    home: int64 (n,): the code of the request's own reference, whose gain is exactly 0.
    """

    gains: NDArray[np.float32]
    cost_usd: NDArray[np.float64]
    feasible: NDArray[np.bool_]
    abstain: NDArray[np.int8]
    home: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.gains)

    def take(self, rows: NDArray[Any]) -> Scores:
        """Keep the requests at ``rows`` (positions or a mask)."""
        return Scores(self.gains[rows], self.cost_usd[rows], self.feasible[rows], self.abstain[rows], self.home[rows])


def rebased(gains: NDArray[np.float32], home: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return gains over each row's own reference ``home`` (n,) instead of the common one; what no rule allows stays −∞.

    >>> rebased(np.array([[0.0, -0.25, 0.5]], np.float32), np.array([1])).tolist()
    [[0.25, 0.0, 0.75]]
    """
    own = np.take_along_axis(gains, home[:, None], axis=1)
    return gains - np.where(np.isfinite(own), own, np.float32(0))


@dataclass(frozen=True, eq=False)
class Router:
    """A decision rule over ``candidates``, ready to decide.

    Where it abstains, a request of an app in ``references`` or ``support`` goes to that app's reference: its model of today,
    which a simulation leaves as logged. Of any other app the router cannot know the model of today: the request keeps the
    ``model`` it asked for, or goes to the common reference when the caller does not say which; the reason tells.

    Parameters
    ----------
    candidates: K models, each once; codes are positions here.
    reference: the candidate that answers when in doubt.
    references: (app, candidate) of the apps that keep another reference: each app's model of today.
    scorer: the learned scorer or a rule.
    costs, capabilities: of each candidate.
    support: what the labels cover.
    tau: [1/USD] what money is worth in quality, see ``decision``; −∞ is always the reference.
    unit: ``session`` (decided by its first turn) or ``request``.
    """

    candidates: tuple[str, ...]
    reference: str
    scorer: Scorer
    costs: Costs
    capabilities: tuple[Capability, ...]
    support: Support = field(default_factory=Support)
    tau: float = 0.0
    unit: str = "session"
    references: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        k = len(self.candidates)
        if len(set(self.candidates)) < k or self.reference not in self.candidates:
            raise InputError(f"candidates {', '.join(self.candidates)}", f"each once, the reference {self.reference!r} among them")
        if len(self.capabilities) != k or len(self.costs.usd_per_request) != k:
            raise InputError(f"{len(self.capabilities)} capabilities for {k} candidates", "costs and a capability for each")
        for app, home in self.references:
            if home not in self.candidates:
                raise InputError(f"reference {home!r} of app {app!r}", f"one of {', '.join(self.candidates)}")
        if self.unit not in UNITS or math.isnan(self.tau):
            raise InputError(f"unit {self.unit!r}, tau {self.tau!r}", f"one of {', '.join(UNITS)}, and a number")

    @classmethod
    def load(cls, folder: str | Path) -> Router:
        """Load what ``planner.export`` wrote: a bundle, the folder of a gateway with one in it, or its files as one .zip.

        BundleError, in one sentence, when anything about it is not as written.
        """
        from planner.router.load import load  # it imports this module

        return load(folder)

    @cached_property
    def family(self) -> str:
        """Twelve hexadecimal digits over everything that can change a score: all of the router but τ."""
        values: dict[str, Any] = {
            "candidates": self.candidates,
            "reference": self.reference,
            "costs": self.costs.state(),
            "unit": self.unit,
        }
        values |= {"capabilities": [c.state() for c in self.capabilities], "support": self.support.state(), "references": self.references}
        return sha256((json.dumps(values, sort_keys=True) + self._weights).encode()).hexdigest()[:12]

    @cached_property
    def version(self) -> str:
        """Twelve hexadecimal digits over everything that can change a decision."""
        return sha256(f"{self.family} {self.tau!r}".encode()).hexdigest()[:12]

    @cached_property
    def _weights(self) -> str:
        return digest(self.scorer)

    @cached_property
    def reference_code(self) -> int:
        """The reference's position among the candidates."""
        return self.candidates.index(self.reference)

    @cached_property
    def _homes(self) -> dict[str, int]:
        return {app: self.candidates.index(model) for app, model in self.references}

    @cached_property
    def _gate(self) -> Gate:
        return Gate(self.capabilities, self.support, self._homes, self.reference_code)

    def home(self, apps: Sequence[str]) -> NDArray[np.int64]:
        """Return the code of each request's own reference, given its app."""
        return np.array([self._homes.get(app, self.reference_code) for app in apps], np.int64)

    def scores(self, requests: Requests, at: str) -> Scores:
        """Score ``requests`` on the ISO date ``at``, which decides who has retired; on "" nobody has."""
        can, why, home = self._gate.read(requests, at)
        return Scores(rebased(self.scorer.gains(requests), home), self.costs.usd(requests.input_tokens), can, why, home)

    def choose(self, scores: Scores, tau: float | None = None) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        """Return each request's candidate code and reason code (position in REASONS) at ``tau`` (the router's own)."""
        at, home = self.tau if tau is None else tau, scores.home
        codes = choose(scores.gains, scores.cost_usd, scores.feasible, home, at)
        codes = np.where(scores.abstain > 0, home, codes)
        why = np.where(codes != home, 0, np.where(scores.feasible.any(1), 1, 2))
        return codes, np.where(scores.abstain > 0, scores.abstain, why).astype(np.int8)

    def decide(self, messages: Any, metadata: Mapping[str, Any] | None = None, *, at: str | None = None) -> Decision:
        """Decide one request on the ISO date ``at`` (today, UTC).

        ``metadata`` holds app, tools, response_format, max_tokens and text_state, as far as known, and the ``model`` asked for.
        Never raises on input: what cannot be read goes to the reference, and the reason says so.
        """
        try:
            code, gain, why = self._decided(Requests.one(messages, metadata, self.unit), _day(at))
        except Exception:  # production must get an answer whatever a client sent; the reason is counted by the caller
            return self._unread(metadata)
        return self._kept(metadata) if why == KEEP else Decision(self.candidates[code], gain, REASONS[why], self.version)

    def _decided(self, request: Requests, at: str) -> tuple[int, float, int]:
        """Return code, gain and reason of a single request: what ``choose`` makes of ``scores``, without arrays of one."""
        can, why, home = self._gate.read_one(request, at)
        if why or not any(can):
            return home, 0.0, why or 2
        row = self.scorer.gains(request)[0]
        if row[home] and math.isfinite(row[home]):
            row = row - row[home]
        gains = row.tolist()
        code = choose_one(gains, self.costs.usd_of(request.input_tokens.item()), can, home, self.tau)
        return (code, gains[code], 0) if code != home else (home, 0.0, 1)

    def _kept(self, metadata: Any) -> Decision:
        """Leave a request of an unknown app with the model it asked for, as far as that can be read."""
        return Decision(_said(metadata, "model") or self.reference, 0.0, REASONS[KEEP], self.version)

    def _unread(self, metadata: Any) -> Decision:
        """Answer with the reference of the app that ``metadata`` names, if it can be read."""
        app = _said(metadata, "app") or "default"
        home = next((model for name, model in self.references if name == app), None)
        if home is None and self.support.apps is not None and app not in self.support.apps:
            return self._kept(metadata)
        return Decision(home or self.reference, 0.0, REASONS[UNREADABLE], self.version)

    def decide_many(self, requests: Requests, *, at: str | None = None) -> list[Decision]:
        """Decide each of ``requests``, of which none says what model it asked for."""
        scores = self.scores(requests, _day(at))
        codes, why = self.choose(scores)
        won = np.where(codes == scores.home, 0, scores.gains[np.arange(len(scores)), codes]).tolist()
        version, rows = self.version, zip(codes.tolist(), won, why.tolist(), strict=True)
        return [Decision(self.candidates[c], g, REASONS[w], version) for c, g, w in rows]

    def with_tau(self, tau: float) -> Router:
        """Return the same router at another τ."""
        return replace(self, tau=float(tau))

    def with_apps(self, apps: Sequence[str]) -> Router:
        """Return the router that steers ``apps`` alone; InputError for an app that it does not steer, or for none."""
        known = self.support.apps
        for app in apps:
            if known is not None and app not in known:
                raise InputError(f"app {app!r}", f"one of {', '.join(known)}", did_you_mean(app, known))
        if not apps:
            raise InputError("no app", "at least one")
        return replace(self, support=replace(self.support, apps=tuple(sorted(set(apps)))))

    def with_references(self, references: Mapping[str, str]) -> Router:
        """Return the router with each app's own model of today as its reference; InputError for a model it does not know."""
        for app, name in references.items():
            if name not in self.candidates:
                raise InputError(
                    f"reference {name!r} of app {app!r}", f"one of {', '.join(self.candidates)}", did_you_mean(name, self.candidates)
                )
        return replace(self, references=tuple(sorted(references.items())))

    def with_candidates(self, subset: Sequence[str]) -> Router:
        """Return the router over a subset of its candidates, the reference among them; InputError for any other name."""
        for name in subset:
            if name not in self.candidates:
                raise InputError(f"candidate {name!r}", f"one of {', '.join(self.candidates)}", did_you_mean(name, self.candidates))
        for home in (self.reference, *(model for _, model in self.references)):
            if home not in subset:
                raise InputError(f"candidates {', '.join(subset)}", f"the reference {home!r} among them")
        keep = np.flatnonzero([c in set(subset) for c in self.candidates])
        return replace(
            self,
            candidates=tuple(self.candidates[i] for i in keep),
            scorer=self.scorer.take(keep),
            costs=self.costs.take(keep),
            capabilities=tuple(self.capabilities[i] for i in keep),
        )


def _said(metadata: Any, name: str) -> str:
    """Return the text that ``metadata`` holds under ``name``; "" where there is none, or none that can be read."""
    try:
        found = metadata.get(name) if isinstance(metadata, Mapping) else None
        return str(found) if isinstance(found, str) else ""
    except Exception:  # a mapping of a kind nobody knows
        return ""


def _day(at: str | None) -> str:
    """Return the ISO date of a decision; without one it is made now."""
    return datetime.now(UTC).date().isoformat() if at is None else at
