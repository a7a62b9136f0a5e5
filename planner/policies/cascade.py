"""Cascade: ask a cheaper model first, and the better one only when a check does not accept the answer.

In: two models and what checks an answer; no check ever reads the label. Out: in the row phase the first model; whether an
answer is accepted, and the second call, are the event phase's. Knows nothing of what the models answer or cost.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.policies.base import Block, Intents, Settings, in_apps, sent_to, where

__all__ = ["VALIDATORS", "Cascade"]

#: Checks of an answer's text without a model (``planner.text.checks``).
VALIDATORS = ("json_schema", "constraints", "grounding")


@dataclass(frozen=True)
class Cascade(Settings):
    """Send requests to ``first``; an answer that a validator or the verifier refuses is asked of ``then``.

    Parameters
    ----------
    first, then: models.
    validators: some of json_schema, constraints, grounding; all must pass.
    verifier: a model that is asked whether the answer is good; its calls cost and take time. None: no such model.
    apps: which; None: all.

    Examples
    --------
    >>> Cascade("gpt-5-nano", "gpt-5", ("json_schema",), apps=("extract",)).words()
    'cascade in extract: gpt-5-nano first, gpt-5 where json_schema refuses the answer'
    """

    first: str
    then: str
    validators: tuple[str, ...] = ()
    verifier: str | None = None
    apps: tuple[str, ...] | None = None

    key = "cascade"
    phase = "row"
    writes = ("model",)

    def __post_init__(self) -> None:
        self.text("first", "a model")
        self.text("then", "a model")
        self.text("verifier", "a model, or nothing", optional=True)
        self.names("validators", f"some of {', '.join(VALIDATORS)}", VALIDATORS, least=0)
        self.some_apps()
        if self.then == self.first:
            raise self.refuse("then", f"another model than first, {self.first!r}")
        if not self.validators and self.verifier is None:
            raise self.refuse("validators", f"some of {', '.join(VALIDATORS)}, or a verifier", "without a check no answer is refused")

    @property
    def uses(self) -> tuple[str, ...]:
        """Both models, and the verifier."""
        return (self.first, self.then, *(() if self.verifier is None else (self.verifier,)))

    def apply(self, block: Block, intents: Intents) -> Intents:
        """Send every request of the apps to the first model."""
        return sent_to(intents, in_apps(block.rows, self.apps), 0, (self.first,))

    def words(self) -> str:
        """Say what it does, for people."""
        checks = " or ".join([*self.validators, *([self.verifier] if self.verifier else [])])
        return f"cascade {where(self.apps)}: {self.first} first, {self.then} where {checks} refuses the answer"
