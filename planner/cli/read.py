"""``planner read``: a log becomes Traffic, a table of graded answers becomes Labels.

In: files and what the user says about their columns. Out: a folder, and what was found in the files: what was recognised,
what was accepted and set aside with the reasons, and which levers the rest can speak about. Knows nothing of formats.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.common import Json, Prices, Prompt, QualityColumns, Quiet, Renames, book_of, pairs
from planner.cli.output import Columns, Part, grid, percent, show, usd, wrap
from planner.cli.read_errors import told_when_broken_off, warn
from planner.cli.reading import copied, passing, refuse
from planner.cli.sessions import Sample, SampleText, Sessions, check, shaped, told
from planner.cli.speech import pasted, spoken
from planner.errors import InputError
from planner.units import PUSD_PER_USD

if TYPE_CHECKING:
    from planner.labels import Labels
    from planner.prices import PriceBook
    from planner.traffic import Traffic

__all__ = ["read"]

_COUNTS = ("accepted", "quarantined", "joined", "forgotten")
_FACTS = ("text full", "text cut", "session of several", "tokens", "cached tokens", "latency", "first-token time", "failed")


def read(
    paths: Annotated[list[str], typer.Argument(metavar="PATH|GLOB", help="Log files, globs or folders; or a table of graded answers.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="Where to write; a log's default is under .planner/.")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="The log's format, when it is not recognised.")] = "auto",
    map: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="OURS=THEIRS", help="A column of ours from one of the log: COL, COL*FACTOR or =CONSTANT. Repeatable."
        ),
    ] = None,
    app_from: Annotated[
        str | None,
        typer.Option(
            "--app-from",
            metavar="WHERE",
            help="What names the app; LiteLLM: tag:PREFIX, team, key, metadata:FIELD; "
            "others: service, attribute:NAME, trace_name, prompt_name, property:NAME, role, subscription, ... (a wrong one lists them).",
        ),
    ] = None,
    redact: Annotated[
        bool,
        typer.Option(
            "--redact", help="E-mail, phone, card, key and token patterns become marks; users and sessions hashes (salt: .planner/salt)."
        ),
    ] = False,
    text: Annotated[
        bool, typer.Option("--text", help="Copy prompts and answers, too: routers, similar questions and compression need them.")
    ] = False,
    allow_twice: Annotated[
        bool, typer.Option("--allow-twice", help="Calls that look alike in pairs are calls of their own, not one call seen twice.")
    ] = False,
    labels: Annotated[bool, typer.Option("--labels", help="This is a table of graded answers; implied by the options below.")] = False,
    prompt: Prompt = None,
    quality: QualityColumns = None,
    cost: Annotated[
        str | None, typer.Option("--cost", metavar="'PATTERN*'", help="Label table: the columns with the cost of an answer [USD].")
    ] = None,
    app_col: Annotated[str | None, typer.Option("--app-col", metavar="COL", help="Label table: the column with the app.")] = None,
    model: Renames = None,
    sessions: Sessions = False,
    sample: Sample = None,
    sample_text: SampleText = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Only show what apps the log's first records would have under each --app-from; write nothing.")
    ] = False,
    prices: Prices = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read a log (or a table of graded answers) into a folder, and say what is in it.

    [bold]Examples[/bold]

        planner read proxy.jsonl.zst
        planner read proxy.jsonl.zst --text
        planner read proxy.jsonl.zst --text --redact
        planner read proxy.jsonl.zst --preview
        planner read 'logs/2026-11-*.jsonl.gz' --app-from tag:team --out november
        planner read calls.csv --map request_id=id --map timestamp=ts --map latency_ms='took_s*1000'
        planner read answers.csv --prompt question --quality 'correct_*' --model gpt_5=gpt-5 --out answers
    """
    shaping = {"--sessions": sessions, "--sample": sample, "--sample-text": sample_text}
    kept = {"--redact": redact, "--text": text, "--allow-twice": allow_twice}
    about_logs = {"--map": map, "--app-from": app_from, **kept, **shaping, "--prices": prices}
    if labels or prompt or quality or cost or app_col or model:
        refuse({"--format": format, **about_logs, "--preview": preview}, "a table of graded answers, which is read as it is")
        _only_one(paths, out)
        from planner.labels import read_labels

        found = read_labels(paths[0], prompt=prompt, quality=quality, cost=cost, app=app_col, models=pairs(model, "--model"))
        show(_labels(found, found.save(out) if out else Path()), json)
        return
    if preview:
        refuse({"--out": out, **about_logs}, "--preview, which shows apps as the log names them and writes nothing")
        show(_preview(paths, format), json)
        return
    asked: dict[str, Any] = {"format": format, "mapping": pairs(map, "--map"), "app_from": app_from}
    asked |= {"redact": redact, "text": text or sample_text, "allow_twice": allow_twice}
    steps: dict[str, Any] = {"sessions": sessions, "sample": sample, "text_only": sample_text, "quiet": quiet or json}
    if any(shaping.values()):
        was_read = len(paths) == 1 and (Path(paths[0]) / "traffic.json").is_file()
        check(sessions, sample, sample_text, text=text or sample_text or was_read)
        with passing() as folder:
            place = None if was_read else folder / "read"
            traffic = shaped(_log(paths, place, asked, quiet or json, place is not None), out, folder, **steps)
    else:
        traffic = _log(paths, out, asked, quiet or json)
    show(_traffic(traffic, book_of(prices), paths), json)


def _preview(paths: list[str], format: str) -> list[Part]:
    from planner.traffic.preview import preview

    found = preview(paths, format)
    columns: Columns = {
        "app_from": ("--app-from", lambda name: name or "(default)"),
        "apps": ("apps", str),
        "unnamed": ("without a name", percent),
        "largest": ("largest, by tokens", str),
    }
    words = f"Of the first {int(found['requests'].max()):,} requests; nothing is written."
    return [Part("preview", found, grid(found, columns)), Part("text", words, words)]


@contextmanager
def _bar(quiet: bool) -> Iterator[tuple[Callable[[int, int], None], Callable[[int], None]]]:
    """Show bytes done, time left and rows a second on stderr; silent when quiet or when nobody watches."""
    from tqdm.auto import tqdm

    hidden = quiet or not sys.stderr.isatty()
    with tqdm(desc="reading", unit="B", unit_scale=True, leave=False, file=sys.stderr, disable=hidden) as shown:

        def report(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        def rows_done(rows: int) -> None:
            if not hidden and (elapsed := shown.format_dict["elapsed"]):
                shown.set_postfix_str(f"{rows / elapsed:,.0f} rows/s", refresh=False)

        yield report, rows_done


def _log(paths: list[str], out: Path | None, asked: dict[str, Any], quiet: bool, passing: bool = False) -> Traffic:
    """Read a log, and warn of what it lacks; where no format fits, say how a table of graded answers is read."""
    from planner.traffic import read as read_log

    try:
        with told_when_broken_off(passing), _bar(quiet) as (progress, rows_done):
            traffic = read_log(paths[0] if len(paths) == 1 else paths, out=out, **asked, progress=progress, rows_done=rows_done)
        warn(traffic)
        return traffic
    except InputError as error:
        if not error.expected.startswith("one of "):
            raise
        raise InputError(error.got, error.expected, f"{error.fix}; for a table of graded answers add --labels --out FOLDER") from error


def _only_one(paths: list[str], out: Path | None) -> None:
    if len(paths) != 1:
        raise InputError(f"{len(paths)} label tables", "one", "put them into one file")
    if out is None:
        raise InputError("a label table without --out", "the folder to write", "add --out FOLDER")


def _traffic(traffic: Traffic, book: PriceBook, paths: list[str]) -> list[Part]:
    from planner.prices import audit
    from planner.prices.words import resting
    from planner.traffic import coverage

    meta, spent = traffic.meta, audit(traffic, book)
    found = coverage(traffic, spent.cost_pusd / PUSD_PER_USD if spent.total.n else None)
    rows = int(meta["accepted"]) + int(meta["quarantined"])
    counts = f"{rows:,} rows = {meta['accepted']:,} requests accepted + {meta['quarantined']:,} rows set aside (quarantine)"
    if joined := meta.get("joined", 0):
        counts += f"; {joined:,} further records are parts of these rows"
    if forgotten := meta.get("forgotten", 0):
        counts += f"; {forgotten:,} rows were forgotten since"
    assumed = "".join(f"\nAssumed: {spoken(a)}." for a in meta["assumed"])
    head = f"{meta['source_format']}: {meta['detected']}.\n{counts}.{assumed}"
    following, rest = pasted("planner", "audit", traffic.folder), resting(spent)
    whole = f"All dollars: {spent.total.format(',.2f', '$')}{spent.standing}"
    return [
        Part("folder", traffic.folder),
        Part("detected", {"format": meta["source_format"], "saw": meta["detected"], "assumed": meta["assumed"]}, wrap(head)),
        Part("rows", {"rows": rows, **{name: meta.get(name, 0) for name in _COUNTS}, "files": meta["files"]}),
        *told(traffic),
        Part("quarantine", meta["reasons"], _quarantine(traffic)),
        Part("total", spent.total, wrap(" ".join(filter(None, (f"{whole}.", spent.thin, rest)))) if spent.sampled or rest else ""),
        Part("coverage", found.table, _coverage(found.table, spent.total.evidence)),
        Part("levers", found.levers, _levers(found.levers)),
        copied(traffic, paths),
        Part("unpriced", spent.problems, _unpriced(spent.lacking)),
        Part("next", following, f"Read into {traffic.folder}\nNext: {following}"),
    ]


def _quarantine(traffic: Traffic) -> str:
    reasons = traffic.meta["reasons"]
    if not traffic.meta["quarantined"]:
        return "Nothing was set aside."
    lines = [f"{n:>9,}  {reason}" for reason, n in reasons.items()]
    rest = int(traffic.meta["quarantined"]) - sum(reasons.values())
    return "\n".join(["Set aside, by reason:", *lines, *([f"{rest:>9,}  other reasons"] if rest else [])])


def _unpriced(lacking: Mapping[str, Any]) -> str:
    import numpy as np

    from planner.traffic.sampling import counted

    if not lacking:
        return ""
    more = f" ({len(lacking) - 1} further reasons in planner audit)" if len(lacking) > 1 else ""
    lost = counted(np.concatenate([*lacking.values()]))
    return wrap(spoken(f"{lost} requests have no price and count for nothing here: {next(iter(lacking)).rstrip('.')}{more}."))


def _coverage(table: Any, evidence: str) -> str:
    """One line per app: its requests and dollars, and the share of its requests that has each property."""
    import pandas as pd

    shares = table.pivot(index="app", columns="what", values="share_rows")
    whole = table[table["what"] == "requests"].set_index("app")
    order = whole["usd"].sort_values(ascending=False).index
    frame = pd.DataFrame({"app": order, "requests": whole["rows"][order].to_numpy(), "usd": whole["usd"][order].to_numpy()})
    columns: dict[str, Any] = {"app": ("app", str), "requests": ("requests", "{:,.0f}".format), "usd": (f"{evidence} $", usd)}
    for fact, heading in zip(_FACTS, ("text", "cut", "turns", "tokens", "cached", "latency", "ttft", "failed"), strict=True):
        frame[fact] = shares.loc[order, fact].to_numpy()
        columns[fact] = (heading, "{:.0%}".format if fact != "failed" else percent)
    return f"What is known, as a share of requests:\n{grid(frame, columns)}"


def _levers(levers: Any) -> str:
    columns: dict[str, Any] = {
        "lever": ("lever", str),
        "share_rows": ("of requests", "{:.0%}".format),
        "share_usd": ("of spend", lambda v: "–" if v != v else f"{v:.0%}"),
        "needs": ("needs", str),
    }
    lines = ["What this log can answer:", grid(levers, columns)]
    for setting in dict.fromkeys(s for s in levers["setting"] if s):
        lines.append(wrap(f"To open the rest of {', '.join(levers['lever'][levers['setting'] == setting])}: {spoken(setting)}"))
    return "\n".join(lines)


def _labels(labels: Labels, folder: Path) -> list[Part]:
    import numpy as np
    import pandas as pd

    quality, meta = labels.quality(), labels.meta
    table = pd.DataFrame({"model": labels.models, "graded": (~np.isnan(quality)).sum(0), "quality": np.nanmean(quality, axis=0)})
    guessed = ", ".join(meta["guessed"]) if meta.get("guessed") else ""
    columns = "; ".join(f"{k}: {', '.join(v) if isinstance(v, list) else v}" for k, v in meta.get("columns", {}).items() if v)
    head = labels.text
    head += f"; {meta['groups']:,} different texts" if "groups" in meta else ""
    following = pasted("planner", "train", folder, "--out", "router")
    shown: dict[str, Any] = {
        "model": ("model", str),
        "graded": ("graded", "{:,}".format),
        "quality": ("mean quality (measured)", "{:.4f}".format),
    }
    return [
        Part("folder", folder),
        Part(
            "text",
            head,
            wrap(f"{head}.\nColumns: {columns or 'as saved'}." + (f"\nGuessed from their names: {guessed}." if guessed else "")),
        ),
        Part("columns", meta.get("columns", {})),
        Part("models", table, grid(table.sort_values("quality", ascending=False), shown)),
        Part("next", following, f"Read into {folder}\nNext: {following}"),
    ]
