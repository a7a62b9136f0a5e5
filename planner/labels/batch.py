"""Write what is to be asked as the batch files that OpenAI and Anthropic take, within their limits, with the price.

In: work, a format, a price book. Out: JSON lines files in a new folder, what each costs at batch rates, and the asks that no such file can
hold. Sends nothing. Knows nothing of how results come back.
"""

from __future__ import annotations

import datetime as dt
import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from planner.errors import InputError, NeedsError
from planner.labels.bodies import LIMIT_FIELDS, anthropic_body, openai_body, pairs_of
from planner.labels.journal import Past, past
from planner.labels.quotes import OVERHEAD_TOKENS, ask_pusd, at_most_pusd, dollars
from planner.labels.work import JOURNAL, Work
from planner.prices import PriceBook
from planner.units import PUSD_PER_USD

__all__ = ["FORMATS", "Batches", "Format", "write_batches"]


@dataclass(frozen=True, slots=True)
class Format:
    """A provider's batch file: whose models it takes, the most requests and bytes of a file, and whether a file has one model alone."""

    providers: tuple[str, ...]
    requests: int
    bytes: int
    one_model: bool


#: As the providers' documentation states them in November 2026; MB are read as 10⁶ bytes, the safe way.
FORMATS: Mapping[str, Format] = {
    "openai": Format(("openai", "azure"), 50_000, 200_000_000, True),
    "anthropic": Format(("anthropic",), 100_000, 256_000_000, False),
}
_NEXT = {
    "openai": "upload each file (purpose batch), create a batch for /v1/chat/completions, download output and error files",
    "anthropic": "send the lines of each file as the list `requests` of a message batch, download its results",
}


@dataclass(frozen=True, eq=False)
class Batches:
    """Written files.

    Parameters
    ----------
    folder: where they are.
    table: one row per file: ``file, model`` (one, or how many), ``requests, bytes``, ``usd`` expected and ``at_most_usd`` [USD] at batch
        rates, ``evidence``: estimated (answers as long as today's), or assumed where the rates are.
    left_out: ``why, asks``; with the requests of all files they add up to the asks of the work.
    """

    folder: Path
    format: str
    table: pd.DataFrame = field(repr=False)
    left_out: pd.DataFrame = field(repr=False)

    @property
    def text(self) -> str:
        """What was written, what it costs, and the next step."""
        t = self.table
        evidence = "assumed" if (t["evidence"] == "assumed").any() else "estimated"
        said = [
            f"{t['requests'].sum():,} requests in {len(t)} file{'s' * (len(t) != 1)} in {self.folder}: "
            f"{dollars(t['usd'].sum())} at batch rates ({evidence}: answers as long as today's), at most {dollars(t['at_most_usd'].sum())}."
        ]
        said += [f"Not in them: {r.asks:,}: {r.why}." for r in self.left_out.itertuples()]
        return "\n".join([*said, f"Next: {_NEXT[self.format]}, then: planner labels ingest WORK RESULTS --out FOLDER."])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.text)}</pre>{self.table.to_html(escape=True, index=False)}"


def write_batches(
    work: Work | str | Path,
    format: str,
    out: str | Path,
    *,
    book: PriceBook | None = None,
    names: Mapping[str, str] | None = None,
    limit_field: str = LIMIT_FIELDS[0],
    limits: Format | None = None,
) -> Batches:
    """Write the asks of ``work`` that no run has answered as batch files of ``format`` (``openai`` or ``anthropic``) into ``out``.

    ``names`` are model → the provider's own name of it; ``limits`` replaces those of FORMATS, which change. Each line's ``custom_id`` is
    the ask's id: 32 hexadecimal digits, the same however often it is written. Raises InputError when ``out`` is not empty, NeedsError when
    there is nothing to write, PriceError when a model has no batch rate.
    """
    if format not in FORMATS:
        raise InputError(f"format {format!r}", f"one of {', '.join(FORMATS)}")
    work = work if isinstance(work, Work) else Work.open(work)
    folder, rules = _folder(Path(out)), limits or FORMATS[format]
    found, left = _lines(work, format, rules, names or {}, limit_field)
    if found.empty:
        why = "; ".join(f"{n:,}: {w}" for w, n in left.items() if n) or "nothing is left to ask"
        raise NeedsError(f"no request for {format} batch files ({why})", fix="use planner labels run for the others")
    found = _priced(found, work, book or PriceBook.load())
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    rows = [_write(folder / f"{format}-{n:03d}.jsonl", part) for n, part in enumerate(_files(found, rules), 1)]
    left_out = pd.DataFrame([(w, n) for w, n in left.items() if n], columns=["why", "asks"])
    return Batches(folder, format, pd.DataFrame(rows), left_out)


def _folder(out: Path) -> Path:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}, which is there already", "a new or empty folder", "choose another with --out")
    return out


def _lines(work: Work, format: str, rules: Format, names: Mapping[str, str], limit_field: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the asks that the format takes, with their ``line``, and how many are left out why."""
    done = past(work.folder / JOURNAL) if work.folder else Past()
    left = {"answered by a run already": 0, f"served by another provider than {' or '.join(rules.providers)}": 0, "no shape of it there": 0}
    answered, elsewhere, shapeless = left
    kept = []
    for ask, item in pairs_of(work):
        if done.done(str(ask["ask_id"])):
            left[answered] += 1
        elif ask["provider"] not in rules.providers:
            left[elsewhere] += 1
        elif (line := _line(format, item, ask, names, work.meta["schemas"], limit_field)) is None:
            left[shapeless] += 1
        else:
            kept.append({**ask, "line": line})
    return pd.DataFrame(kept), left


def _line(
    format: str, item: Mapping[Any, Any], ask: Mapping[Any, Any], names: Mapping[str, str], schemas: Mapping[str, Any], limit_field: str
) -> bytes | None:
    if format == "anthropic":
        params = anthropic_body(item, ask, names)
        value: dict[str, Any] = {"custom_id": ask["ask_id"], "params": params}
        if params is None:
            return None
    else:
        body = openai_body(item, ask, names, schemas, limit_field)
        value = {"custom_id": ask["ask_id"], "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def _priced(found: pd.DataFrame, work: Work, book: PriceBook) -> pd.DataFrame:
    """Add expected price, the most, and evidence at batch rates; no line has more tokens of input than bytes."""
    at = dt.date.fromisoformat(work.meta["at"])
    who = (book, found["provider"], found["model"])
    tokens_in, tokens_out, limit = (found[n].to_numpy(np.int64) for n in ("input_tokens", "output_tokens", "limit_tokens"))
    most = np.maximum(found["line"].map(len).to_numpy(np.int64), tokens_in) + OVERHEAD_TOKENS
    expected, evidence = ask_pusd(*who, tokens_in, tokens_out, at, "batch")
    at_most = at_most_pusd(*who, most, limit, at, "batch")
    return found.assign(price_pusd=expected, at_most_pusd=at_most, evidence="assumed" if evidence == "assumed" else "estimated")


def _files(found: pd.DataFrame, rules: Format) -> Iterator[pd.DataFrame]:
    """Split into files, by model where a file has one alone, then by count and size."""
    for _, part in found.groupby("model", sort=True) if rules.one_model else [("", found)]:
        start = size = 0
        lengths = part["line"].map(len).tolist()
        for i, length in enumerate(lengths):
            if i > start and (i - start == rules.requests or size + length > rules.bytes):
                yield part.iloc[start:i]
                start, size = i, 0
            size += length
        yield part.iloc[start:]


def _write(path: Path, part: pd.DataFrame) -> dict[str, Any]:
    path.touch(mode=0o600)
    path.write_bytes(b"".join(part["line"]))
    models = part["model"].unique()
    return {
        "file": path.name,
        "model": models[0] if len(models) == 1 else f"{len(models)} models",
        "requests": len(part),
        "bytes": path.stat().st_size,
        "usd": int(part["price_pusd"].sum()) / PUSD_PER_USD,
        "at_most_usd": float(part["at_most_pusd"].astype(float).sum()) / PUSD_PER_USD,
        "evidence": part["evidence"].iloc[0],
    }
