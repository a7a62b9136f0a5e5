"""``planner read --sessions --sample 2%``: what becomes of a log once it is read: its conversations rebuilt, a share of it kept.

In: a read log and what was asked for. Out: the log that is gone on with. Knows nothing of how conversations are found or rows drawn.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.output import Part, bar, wrap
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.traffic import Traffic

__all__ = ["Sample", "SampleText", "Sessions", "check", "shaped", "share_of", "told"]

Sessions = Annotated[
    bool, typer.Option("--sessions", help="Rebuild conversations where the log does not name them: by what their requests repeat.")
]
Sample = Annotated[
    str | None,
    typer.Option("--sample", metavar="SHARE", help="Keep a share of the log, e.g. 2%: whole conversations, by hash, with their weight."),
]
SampleText = Annotated[
    bool,
    typer.Option("--sample-text", help="With --sample: keep every row's tokens and cost, and copy the text of the share only."),
]


def share_of(text: str) -> float:
    """Read a share; InputError when it is none.

    >>> share_of("2%"), share_of("0.02"), share_of("100%")
    (0.02, 0.02, 1.0)
    """
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise InputError(f"'--sample {text}'", "a share above 0 and at most 1", "for example --sample 2% or --sample 0.02")
    return share


def check(sessions: bool, sample: str | None, text_only: bool, text: bool) -> None:
    """Raise InputError for what cannot be done to a log, with ``text`` or read without."""
    if text_only and sample is None:
        raise InputError("'--sample-text' without --sample", "the share whose text is kept", "for example --sample 2% --sample-text")
    if sample is not None:
        share_of(sample)
    if (sessions or text_only) and not text:
        what, why = ("--sessions", "conversations are recognised by it") if sessions else ("--sample-text", "there is none to keep")
        raise InputError(f"{what} for a log without its text", f"a log with text, since {why}", "ask for it with --text")


def shaped(
    traffic: Traffic, out: Path | None, passing: Path, *, sessions: bool, sample: str | None, text_only: bool, quiet: bool
) -> Traffic:
    """Return ``traffic`` with what was asked for done to it: the last step written to ``out``, what comes before it below ``passing``."""
    from planner.traffic.sampling import sampled
    from planner.traffic.sessions import rebuilt

    check(sessions, sample, text_only, bool(traffic.meta.get("text", True)))
    share = None if sample is None else share_of(sample)
    if sessions:
        with bar("conversations", quiet, unit=" rows") as progress:
            traffic = rebuilt(traffic, out if share is None else passing / "sessions", progress=progress)
    return traffic if share is None else sampled(traffic, share, out, text_only=text_only)


def told(traffic: Traffic) -> list[Part]:
    """Say what was done to a log after it was read: nothing where nothing was."""
    about: dict[str, Any] = {k: traffic.meta[k] for k in ("sessions", "samples") if k in traffic.meta}
    lines = []
    if made := about.get("sessions"):
        lines.append(f"Conversations rebuilt: {made['sessions_rebuilt']:,} of {made['rows_rebuilt']:,} requests.")
    for drawn in about.get("samples", ()):
        what = "the text" if drawn["text_only"] else f"rows, each standing for {1 / drawn['share']:,.4g} times its weight,"
        lines.append(f"Sampled: {what} of {drawn['rows_drawn']:,} of {drawn['rows_before']:,} requests ({drawn['share']:.4g} by hash).")
    return [Part(k, v, wrap("\n".join(lines)) if i == 0 else "") for i, (k, v) in enumerate(about.items())]
