"""PromptCache: have the provider keep the beginning of prompts.

In: which apps mark what, and for how long. Out: settings that the event phase follows, with the provider's own rules on
minimum and lifetime. Knows nothing of rates or of what prompts share.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.policies.base import Settings, where

__all__ = ["LIFETIMES", "MARKS", "PromptCache"]

LIFETIMES = ("5m", "1h")
MARKS = ("shared", "system")


@dataclass(frozen=True)
class PromptCache(Settings):
    """Mark the beginning of prompts for the provider's prompt cache.

    Parameters
    ----------
    apps: which; None: all.
    lifetime: an entry's life after its last use, ``5m`` or ``1h``; a provider that offers one only gives that.
    mark: ``shared``: all that the prompt has in common with an earlier one of its app, history included; ``system``: the
        system text alone.

    Examples
    --------
    >>> PromptCache(("chat",), "1h").words()
    'prompt cache in chat: what prompts share is kept for 1h after its last use'
    """

    apps: tuple[str, ...] | None = None
    lifetime: str = "5m"
    mark: str = "shared"

    key = "prompt_cache"
    needs = ("messages|prefix_blocks",)

    def __post_init__(self) -> None:
        self.some_apps()
        self.text("lifetime", f"one of {', '.join(LIFETIMES)}", LIFETIMES)
        self.text("mark", f"one of {', '.join(MARKS)}", MARKS)

    def words(self) -> str:
        """Say what it does, for people."""
        what = "what prompts share" if self.mark == "shared" else "the system text"
        return f"prompt cache {where(self.apps)}: {what} is kept for {self.lifetime} after its last use"
