"""``planner export``: a trained router, a simple rule or another level of a bundle's router, as a bundle.

In: labels (trained again) or a bundle. Out: a bundle, loaded again. Knows nothing of its files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.common import Json, Out, Quiet
from planner.cli.options import LogBeside, Tau, TrainingOptions, with_training_options
from planner.cli.output import Part, show, wrap
from planner.cli.training import trained
from planner.errors import InputError, did_you_mean

__all__ = ["export"]

_METHODS = ("learned", "cheapest", "best", "per app", "length")


@with_training_options
def export(
    *,
    source: Annotated[
        str, typer.Argument(metavar="LABELS|BUNDLE", help="Graded answers to train on, or a bundle to write at another level.")
    ],
    out: Out,
    method: Annotated[
        str | None, typer.Option("--method", help="learned (the default), cheapest, best, 'per app' or length; needs labels.")
    ] = None,
    tau: Tau = None,
    log: LogBeside = None,
    options: TrainingOptions,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write what production installs, and load it again as production does.

    [bold]Examples[/bold]

        planner export answers --log proxy.jsonl.zst --out router
        planner export answers --method cheapest --out cheapest
        planner export router --tau 5 --out router-2
    """
    from planner.bundle import export as write
    from planner.router import Router

    if method not in (None, *_METHODS):
        raise InputError(f"'--method {method}'", f"one of {', '.join(_METHODS)}", did_you_mean(str(method), _METHODS))
    training, before = None, None
    if (Path(source) / "manifest.json").is_file():
        beside = [name for name, value in (("--method", method), ("--log", log)) if value] + options.given()
        if beside:
            named = ", ".join(beside)
            raise InputError(
                f"a bundle with {named}", "labels, to train", f"name the labels instead of {source}; a bundle takes --tau alone"
            )
        router = Router.load(source)
        before = router.version
    else:
        training = trained(source, log, options, quiet or json)
        router = {"learned": training.router, **training.rules}[method or "learned"]
    router = router if tau is None else router.with_tau(tau)
    evaluation = {"method": method or "learned"} if before is None else {"made_from_router": before}
    folder = write(router, out, training=training, evaluation=evaluation)
    loaded = Router.load(folder)
    words = f"Wrote {folder} and loaded it again: router {loaded.version}, τ {loaded.tau!r}, reference {loaded.reference}, "
    words += f"candidates {', '.join(loaded.candidates)}."
    about = {"version": loaded.version, "tau": loaded.tau, "reference": loaded.reference, "candidates": loaded.candidates}
    following = f"planner decide --bundle {folder} < requests.jsonl"
    show([Part("folder", folder), Part("router", about), Part("next", following, f"{wrap(words)}\nNext: {following}")], json)
