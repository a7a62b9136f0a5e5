"""``planner preflight``: can a running gateway carry what was exported.

In: an exported folder, a proxy's URL, perhaps a log and quotas. Out: go or no-go, line by line; code 1 for no-go. Knows nothing of how
anything is checked.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.common import Json, Prices, Quiet, book_of, traffic_at
from planner.cli.output import Part, grid, show, stages, wrap
from planner.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from planner.bundle.preflight import Preflight

__all__ = ["preflight", "read_quotas"]

_LIMITS = ("rpm", "tpm", "input_tpm", "output_tpm")
_EXAMPLE = "for example gpt-5: {rpm: 500, tpm: 200000}"


def preflight(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that [bold]planner export --gateway litellm[/bold] wrote.")],
    proxy: Annotated[str, typer.Option("--proxy", metavar="URL", help="The running gateway, for example http://localhost:4000.")],
    key_env: Annotated[
        str, typer.Option("--key-env", metavar="NAME", help="The environment variable with the key to ask with.")
    ] = "LITELLM_MASTER_KEY",
    log: Annotated[
        str | None,
        typer.Option(
            "--log",
            metavar="LOG",
            help="A whole log: how busy each model's busiest minute will be, tokens as logged; default: as predicted at the export.",
        ),
    ] = None,
    app: Annotated[
        list[str] | None, typer.Option("--app", metavar="APP", help="Whose groups the key needs; repeatable. Default: all apps.")
    ] = None,
    quota: Annotated[
        Path | None, typer.Option("--quota", metavar="FILE", help="Quotas (YAML): model: {rpm, tpm, input_tpm, output_tpm}.")
    ] = None,
    prices: Prices = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ask a running gateway, without changing it, whether it can carry an export; a few tiny calls are made.

    [bold]Examples[/bold]

        planner preflight production --proxy http://localhost:4000
        planner preflight production --proxy https://llm.example.com --key-env CHAT_KEY --app chat
        planner preflight production --proxy http://localhost:4000 --log november --quota quota.yaml
    """
    from planner.bundle.gateway import BUNDLE
    from planner.bundle.preflight import peaks_of
    from planner.bundle.preflight import preflight as checked
    from planner.bundle.preflight_proxy import proxy_at
    from planner.router import Router

    silent, book = quiet or json, book_of(prices)
    router, asked = Router.load(folder / BUNDLE), proxy_at(proxy, _key(key_env))
    limits = read_quotas(quota, router.candidates) if quota else None
    busiest = peaks_of(traffic_at(log, silent, "a router"), router, book) if log else None
    today = dt.datetime.now(dt.UTC).date()
    with stages("preflight", silent) as progress:
        found = checked(folder, asked, today=today, book=book, busiest=busiest, limits=limits, apps=app, progress=progress)
    show(_parts(found), json)
    raise typer.Exit(0 if found.go else 1)


def _key(name: str) -> str:
    """Return the key in an environment variable; InputError, before any call, where there is none."""
    found = os.environ.get(name)
    if not found:
        fix = f"export {name}=…, or name another variable with --key-env (a gateway without keys takes any)"
        raise InputError(f"no environment variable {name}", "one that holds a key of the gateway", fix)
    return found


def read_quotas(path: Path, models: Sequence[str]) -> dict[str, dict[str, float]]:
    """Read the quotas of ``models`` in a file; InputError for what is none."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"{path}: {type(error).__name__}", "a YAML file of quotas", "for example gpt-5: {rpm: 500, tpm: 200000}"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(own, dict) for own in found.values()):
        raise InputError(f"{path}", "a mapping of models, each with its quotas", _EXAMPLE)
    for model, own in found.items():
        if model not in models:
            raise InputError(f"{path}: {model!r}", f"some of the candidates, {', '.join(models)}", did_you_mean(str(model), models))
        for name, value in own.items():
            if name not in _LIMITS:
                raise InputError(f"{path}: {name!r} of {model}", f"some of {', '.join(_LIMITS)}", did_you_mean(str(name), _LIMITS))
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise InputError(f"{path}: {name} {value!r} of {model}", "a number above 0 a minute")
    return {str(model): {name: float(value) for name, value in own.items()} for model, own in found.items()}


def _parts(found: Preflight) -> list[Part]:
    import pandas as pd

    marks = {True: "go", False: "NO-GO", None: "?"}
    shown = pd.DataFrame([{"go": marks[c.go], "check": c.check, "subject": c.subject, "found": c.found} for c in found.checks])
    columns: dict[str, Any] = {"go": ("", str), "check": ("check", str), "subject": ("of", str), "found": ("found", str)}
    fixes = [f"{c.check} of {c.subject}: {c.fix}." for c in found.checks if c.fix]
    diff = pd.DataFrame(found.diff, columns=["setting", "written", "running"])
    settings: dict[str, Any] = {"setting": ("setting", str), "written": ("written", str), "running": ("running", str)}
    other = f"The running configuration has otherwise:\n{grid(diff, settings)}" if found.diff else ""
    return [
        Part("go", found.go),
        Part("text", found.text, wrap(found.text)),
        Part("checks", [vars(c) for c in found.checks], grid(shown, columns)),
        Part("fixes", fixes, "\n".join(["What to do:", *(wrap(f"- {fix}") for fix in fixes)]) if fixes else ""),
        Part("diff", [{"setting": s, "written": w, "running": r} for s, w, r in found.diff], other),
        Part("cost_usd", found.cost_usd),
        Part("rollback", found.rollback, wrap(found.rollback)),
    ]
