"""Assignment: which model a request goes to, given what is on for its app, and the exact chances that led there.

In: a rollout, the request's app and key, the router's decision and the group that was asked for. Out: model, arm and propensities,
a pure function of salt, app and key, so that whoever holds the rollout can draw them again. Knows nothing of gateways or clocks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256

from planner.router.capabilities import REASONS
from planner.router.rollout import AppRollout, Rollout
from planner.router.router import Decision

__all__ = ["ARMS", "Assignment", "assign", "draw"]

#: Why a request went where it went; ``pinned``: a stored conversation stays with the model that holds it.
ARMS = ("shadow", "control", "holdout", "routed", "stopped", "pinned")
_OFF = AppRollout()
#: Reasons of decisions; any other leaves a request where it was.
_DECIDED = REASONS[:2]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a request goes.

    ``propensities``: model → probability over holdout, share and explore, summing to 1; None where nothing is drawn. ``mirror``: the
    model that answers it in the background, None for none.
    """

    model: str
    arm: str
    propensities: Mapping[str, float] | None = None
    mirror: str | None = None


def draw(salt: str, purpose: str, app: str, key: str) -> float:
    """Return the unit's number in [0, 1) for ``purpose``: SHA-256 of the four, its first 53 bits.

    >>> draw("3f9a01c2", "share", "chat", "session-1")
    0.0779124800160299
    """
    digest = sha256(f"{salt}|{purpose}|{app}|{key}".encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)


def assign(rollout: Rollout, app: str, key: str, decision: Decision, asked: str, able: Collection[str] | None = None) -> Assignment:
    """Return where a request of ``app`` that asked for the group ``asked`` goes; ``key`` names its session, else end user, else itself.

    What the router abstains from goes as asked, as in a simulation. ``able`` are the candidates that can answer this request (None:
    all); exploration draws among those of them that passed the floor. The same unit has the same draws for ever: a larger share or
    active routes all that a smaller share routed, and whom the holdout keeps is never routed.

    >>> on = Rollout("3f9a01c2", apps={"chat": AppRollout("canary", share=0.5, asks=("gpt-5",))})
    >>> found = assign(on, "chat", "session-1", Decision("gpt-5-mini", 0.1, "best value at tau", "v"), "gpt-5")
    >>> found.arm, found.model, found.propensities
    ('routed', 'gpt-5-mini', {'gpt-5-mini': 0.475, 'gpt-5': 0.525})
    """
    settings = rollout.apps.get(app, _OFF)
    chosen = decision.model if decision.reason in _DECIDED else asked
    if rollout.stop:
        return Assignment(asked, "stopped")
    if settings.mode not in ("canary", "active"):
        return Assignment(asked, "shadow", None, _mirrored(rollout, settings, app, key, chosen, asked))
    share = settings.share if settings.mode == "canary" else 1.0
    drawn = _explored(settings, decision, able)
    chances = _chances((1 - rollout.holdout) * share, settings.explore if drawn else 0.0, chosen, drawn, asked)
    if draw(rollout.salt, "holdout", app, key) < rollout.holdout:
        return Assignment(asked, "holdout", chances)
    if draw(rollout.salt, "share", app, key) >= share:
        return Assignment(asked, "control", chances)
    if drawn and draw(rollout.salt, "explore", app, key) < settings.explore:
        return Assignment(drawn[int(draw(rollout.salt, "candidate", app, key) * len(drawn))], "routed", chances)
    return Assignment(chosen, "routed", chances)


def _mirrored(rollout: Rollout, settings: AppRollout, app: str, key: str, chosen: str, asked: str) -> str | None:
    """Return the model that answers in the background, None where none does or it would be the same."""
    if settings.mode != "mirror" or settings.mirror is None or draw(rollout.salt, "mirror", app, key) >= settings.mirror.share:
        return None
    model = settings.mirror.model or chosen
    return model if model != asked else None


def _explored(settings: AppRollout, decision: Decision, able: Collection[str] | None) -> tuple[str, ...]:
    """Return the models exploration may draw: none where nothing was decided, for the floor was certified without that."""
    if not settings.explore or decision.reason not in _DECIDED:
        return ()
    return tuple(m for m in settings.floor_passed if able is None or m in able)


def _chances(routed: float, explore: float, decided: str, drawn: tuple[str, ...], asked: str) -> dict[str, float]:
    """Return each model's probability: the decided one, those drawn, and the one asked for."""
    chances = {decided: routed * (1 - explore)}
    for model in drawn:
        chances[model] = chances.get(model, 0.0) + routed * explore / len(drawn)
    chances[asked] = chances.get(asked, 0.0) + 1 - routed
    return {model: chance for model, chance in chances.items() if chance > 0}
