"""``planner rollout``: what of an exported router is on, app by app; turn it up, stop it, take it back.

In: an exported folder. Out: its rollout.json and the file STOP, changed in one step, and what the running processes say to it.
Knows nothing of how requests are routed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.common import Json
from planner.cli.output import Part, percent, show, wrap
from planner.errors import BundleError, InputError, did_you_mean

if TYPE_CHECKING:
    from planner.router.rollout import AppRollout, Rollout
    from planner.router.status import Worker

__all__ = ["app"]

_HELP = """
What of an exported router is on, app by app: turn it up, stop it, take it back.

[bold]Examples[/bold]

    planner rollout show production
    planner rollout set production --app chat --mode canary --share 0.1
    planner rollout stop production
    planner rollout back production
"""
#: [s] for which running processes may take to follow.
WAIT_S = 10.0

app = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="rich")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder that [bold]planner export --gateway litellm[/bold] wrote.")]
Names = Annotated[list[str] | None, typer.Option("--app", metavar="APP", help="Only this app. Repeatable.")]


@app.command("show")
def show_(folder: Folder, json: Json = False) -> None:
    """Show what is on, which processes run it, alarms, counts and what went wrong.

    Leaves with 0 where production runs as set, or is stopped as told; with 1 on an alarm, or where anything is not as set: a bundle or
    rollout that cannot be read, a process that runs another one, no process at all. In JSON: as_set, not_as_set (sentences), alarms.

    [bold]Examples[/bold]

        planner rollout show production
        planner rollout show production --json > rollout_state.json || mail -s "planner" you@example.com < rollout_state.json
    """
    from planner.cli.rollout_shown import shown

    parts, as_set = shown(folder)
    show(parts, json)
    raise typer.Exit(0 if as_set else 1)


@app.command("set")
def set_(
    folder: Folder,
    names: Annotated[list[str], typer.Option("--app", metavar="APP", help="The app to change. Repeatable.")],
    mode: Annotated[str | None, typer.Option("--mode", help="off, shadow, mirror, canary or active.")] = None,
    share: Annotated[float | None, typer.Option("--share", help="Under canary: the share of sessions routed, 0 to 1.")] = None,
    explore: Annotated[
        float | None, typer.Option("--explore", help="The share of routed sessions that go to any model that passed the floor.")
    ] = None,
    ask: Annotated[
        list[str] | None, typer.Option("--ask", metavar="GROUP", help="A model group that may be replaced. Repeatable; all are named anew.")
    ] = None,
    ask_own: Annotated[
        list[str] | None,
        typer.Option(
            "--ask-own",
            metavar="GROUP",
            help="As --ask, for a group of your own proxy configuration, which no file in DIR lists: its name is taken as it is.",
        ),
    ] = None,
    mirror_share: Annotated[
        float | None, typer.Option("--mirror-share", help="Under mirror: the share answered in the background.")
    ] = None,
    mirror_usd: Annotated[float | None, typer.Option("--mirror-usd-per-day", help="What answers in the background may cost a day.")] = None,
    holdout: Annotated[
        float | None, typer.Option("--holdout", help="The share of all apps' sessions never routed. It is meant to stay as it is.")
    ] = None,
    json: Json = False,
) -> None:
    """Change what is on for an app, and wait until every running process does it.

    [bold]Examples[/bold]

        planner rollout set production --app chat --mode shadow
        planner rollout set production --app chat --mode canary --share 0.1
        planner rollout set production --app chat --app search --mode active
        planner rollout set production --app chat --ask gpt-5 --ask-own our-assistant
    """
    from planner.router.live import ROLLOUT
    from planner.router.rollout import read, turned, write

    asks = tuple(dict.fromkeys([*(ask or ()), *(ask_own or ())]))
    given: dict[str, Any] = {"mode": mode, "share": share, "explore": explore, "asks": asks or None}
    behind: dict[str, Any] = {"share": mirror_share, "usd_per_day": mirror_usd}
    changed, mirrored = ({k: v for k, v in values.items() if v is not None} for values in (given, behind))
    if not changed and not mirrored and holdout is None:
        raise InputError("nothing to change", "at least one of --mode, --share, --explore, --ask, --ask-own, --mirror-share, --holdout")
    file = _file(folder)
    with _alone(folder):
        before = read(file)
        _check_groups(folder, before, ask or ())
        after = turned(before, names, holdout=holdout, mirror=mirrored, **changed)
        write(file, after)
    words = f"Wrote {folder / ROLLOUT}: " + "; ".join(f"{name} {_said(after.apps[name])}" for name in names) + "."
    if after.holdout != before.holdout:
        words += f" The holdout is {percent(after.holdout)} now, {percent(before.holdout)} before: some sessions change sides."
    _wait(folder, words, lambda w: w.rollout == after.mark, "run it", json, _still(folder, names, after))


@app.command()
def stop(folder: Folder, json: Json = False) -> None:
    """Send everything as asked, now: writes DIR/STOP, and waits until every running process has seen it.

    [bold]Examples[/bold]

        planner rollout stop production
    """
    from planner.router.live import STOP
    from planner.router.status import status

    status(folder)  # refuses a folder that is none
    (folder / STOP).touch()
    words = f"Wrote {folder / STOP}: every request goes as asked until you run: planner rollout resume {folder}."
    _wait(folder, words, lambda w: w.stopped, "have stopped", json)


@app.command()
def resume(folder: Folder, names: Names = None, json: Json = False) -> None:
    """Take STOP away; with --app, the alarm of that app. Then wait until every running process follows.

    [bold]Examples[/bold]

        planner rollout resume production
        planner rollout resume production --app chat
    """
    from planner.router.guardrails import alarm_file
    from planner.router.live import STATE, STOP
    from planner.router.rollout import read, write
    from planner.router.status import status

    before = status(folder)
    if names:
        known = read(_file(folder)).apps
        for name in names:
            if name not in known:
                raise InputError(f"app {name!r}", f"one of {', '.join(known)}", did_you_mean(name, known))
        for name in names:
            alarm_file(folder / STATE, name).unlink(missing_ok=True)
        words = f"Took away the alarms of {', '.join(names)}."
        _wait(folder, words, lambda w: not set(w.alarmed) & set(names), "route them again", json)
        return
    (folder / STOP).unlink(missing_ok=True)
    if before.rollout is not None and before.rollout.stop:
        with _alone(folder):
            write(_file(folder), replace(read(_file(folder)), stop=False))
    words = f"{folder} runs again." if before.stopped else f"{folder} was not stopped."
    if before.alarms:
        words += f" Still stopped by alarms: {', '.join(before.alarms)}; when they are understood, resume each with --app."
    _wait(folder, words, lambda w: not w.stopped, "run again", json)


@app.command()
def back(folder: Folder, json: Json = False) -> None:
    """Put the router before the last export back, and the present one in its place; the same again undoes it.

    Export keeps one router before in DIR/bundle.previous. Running processes take the other one up by themselves; this waits for them.

    [bold]Examples[/bold]

        planner rollout back production
    """
    from planner.bundle.gateway_back import PREVIOUS, put_back
    from planner.router.status import status

    status(folder)  # refuses a folder that is none
    with _alone(folder):
        digest = put_back(folder)[:12]
    words = f"The router before is in force: bundle {digest}; the other one is in {folder / PREVIOUS}."
    _wait(folder, words, lambda w: w.bundle == digest, "run it", json)


def _file(folder: Path) -> Path:
    from planner.router.live import ROLLOUT

    if not (folder / ROLLOUT).exists():
        raise InputError(f"{folder}, in which there is no {ROLLOUT}", "a folder that planner export --gateway litellm wrote")
    return folder / ROLLOUT


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let no other command change the rollout meanwhile: what it set would be lost."""
    from planner.router.guard_files import locked

    try:
        with locked(folder, WAIT_S):
            yield
    except BlockingIOError as error:
        raise InputError(f"{folder}, which another command changes", "one at a time", "try again") from error


def _check_groups(folder: Path, rollout: Rollout, ask: Sequence[str]) -> None:
    """Refuse model groups that neither the bundle, nor a configuration beside it, nor the rollout knows: rather a slip than a group."""
    import yaml

    from planner.router.live import BUNDLE
    from planner.router.load import read_manifest

    known = {group for own in rollout.apps.values() for group in own.asks}
    with suppress(BundleError):
        known |= {*read_manifest(folder / BUNDLE)[0]["router"]["candidates"]}
    for file in sorted(folder.glob("config*.yaml")):
        with suppress(OSError, ValueError, yaml.YAMLError, TypeError, KeyError):
            known |= {str(one["model_name"]) for one in yaml.safe_load(file.read_text("utf-8"))["model_list"]}
    for group in ask:
        if group not in known:
            near = did_you_mean(group, sorted(known))
            own = f"if your own proxy configuration has it: --ask-own {group}"
            raise InputError(f"--ask {group}", f"one of {', '.join(sorted(known))}", f"{near} {own}".strip())


def _still(folder: Path, names: Sequence[str], after: Rollout) -> str:
    """Say what keeps an app from doing what was set; "" where nothing does."""
    from planner.router.status import status

    found = status(folder)
    alarmed = [name for name in names if name in found.alarms and after.apps[name].mode != "off"]
    resumed = " ".join(f"--app {name}" for name in alarmed)
    said = f" But an alarm keeps {', '.join(alarmed)} stopped until you run: planner rollout resume {folder} {resumed}." if alarmed else ""
    return f"{said} But everything is stopped until you run: planner rollout resume {folder}." if found.stopped else said


def _wait(folder: Path, words: str, follows: Callable[[Worker], bool], what: str, json: bool, still: str = "") -> None:
    """Wait until all processes that live follow, and say so, and what ``still`` stands in the way; leave with 1 where some do not."""
    from planner.router.status import status

    start, found = time.monotonic(), status(folder).workers
    while not all(map(follows, found)) and time.monotonic() - start < WAIT_S:
        time.sleep(0.1)
        found = status(folder).workers
    took, done = time.monotonic() - start, sum(map(follows, found))
    if not found:
        said = "No process of a gateway runs this folder now."
    elif done == len(found):
        said = f"{done} of {done} running processes {what}, {took:.1f} s later."
    else:
        said = f"Only {done} of {len(found)} running processes {what} after {took:.0f} s; look at: planner rollout show {folder}."
    text = f"{words} {said}{still}"
    parts = [Part("text", text, wrap(text)), Part("workers", len(found)), Part("followed", done)]
    show([*parts, Part("seconds", round(took, 2))], json)
    raise typer.Exit(0 if done == len(found) else 1)


def _said(own: AppRollout) -> str:
    return f"{own.mode} at {percent(own.share)}" if own.mode == "canary" else own.mode
