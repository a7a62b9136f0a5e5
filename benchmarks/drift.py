"""How often ``planner drift`` alarms when nothing changed, and how often it finds what was planted.

In: a number of generated logs. Out: of each kind of ordinary traffic how many logs had any alarm, over all measures and all looks, against
the log before and against its profile in a bundle; and of each planted change how often the first look finds it, in any measure and in its
own. Run: ``python -m benchmarks.drift --jobs 2 --json``.

A log has a reference of 28 days and four weeks after it, a look a week, all four planned in one file of looks at 5 %. 300 users ask
by Zipf's law, each with an app, a language and habits of its own; weekends are quiet. Ordinary traffic is of five kinds: ``steady``
(users differ, days do not), ``days`` (each day moves everybody: length, difficulty, apps, failures), ``spells`` (what moves a day is half
there on the next), ``churn`` (users come, stay two weeks and go), ``heavy`` (a few users ask most). A router trained once on labels of the
same world decides.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from planner.bundle import export
from planner.bundle.profile import profile
from planner.errors import NeedsError
from planner.followup.drift import ALPHA, drift
from planner.labels import Labels
from planner.prices import PriceBook
from planner.router import Router
from planner.traffic import Traffic, TrafficWriter
from planner.training import train

F64 = NDArray[np.float64]
USERS, REFERENCE, WEEK, LOOKS, PER_DAY = 300, 28, 7, 4, 110
MONDAY = np.datetime64("2026-09-28", "us")
EXPORTED = dt.date(2026, 10, 25)
#: At which about half of the requests go to the smaller model.
TAU = 10.0
APPS = ("chat", "search", "code")
MODELS = ("gpt-5.4", "gpt-5.4-mini")
#: Of the deviation of a day: how far it moves log lengths, log-odds of difficulty, of apps and of failures.
DAY = np.array([0.08, 0.2, 0.15, 0.4])
#: Planted change, its sizes, and the measure it belongs to.
PLANTED = (
    ("language", (0.05, 0.1, 0.2), "language"),
    ("template", (0.2, 0.5, 1.0), "prompt templates"),
    ("harder", (0.5, 1.0, 1.5), "router scores"),
    ("longer", (0.2, 0.4), "prompt length"),
    ("model", (0.1, 0.2, 0.5), "model mix"),
    ("version", (0.2, 1.0), "model versions"),
    ("failures", (1.0, 2.0), "failures"),
    ("price", (0.01,), "prices"),
)


@dataclass(frozen=True)
class Kind:
    """Ordinary traffic: deviation of days, what of it is left on the next, Zipf's exponent, and whether users come and go."""

    day: float = 0.0
    persistence: float = 0.0
    zipf: float = 0.8
    churn: bool = False


KINDS = {
    "steady": Kind(),
    "days": Kind(day=1.0),
    "spells": Kind(day=1.0, persistence=0.5),
    "churn": Kind(churn=True),
    "heavy": Kind(day=0.5, zipf=1.2),
}
_WORDS = {
    "en": "the order invoice river table please when what sum list price month stone paper light trade report answer short",
    "de": "die Bestellung Rechnung Fluss Tisch bitte wann was Summe Liste Preis Monat über für größer schön Antwort Bericht",
    "ru": "заказ счёт река стол пожалуйста когда что сумма список цена месяц камень бумага свет отчёт ответ короткий",
}
_SYSTEM = {"chat": "You help customers of a shop. ", "search": "Answer from the documents given. ", "code": "You write code. "}
_HARD = ("prove", "derive", "optimise")


def asked(seed: int, kind: Kind, days: int, shift: str = "", size: float = 0.0, since: int = 10**6) -> pd.DataFrame:
    """Return ``days`` of requests; from the day ``since`` on, ``shift`` moves them by ``size``."""
    rng = np.random.default_rng(seed)
    volume = 1 / np.arange(1, USERS + 1) ** kind.zipf
    effects = _effects(rng, kind, days)
    day = np.repeat(np.arange(days), rng.poisson(PER_DAY * np.where(np.arange(days) % 7 < 5, 1.2, 0.5)))
    here = _present(rng, kind, days)
    chance = (volume * here)[day]
    user = (chance.cumsum(1) < rng.random(len(day))[:, None] * chance.sum(1, keepdims=True)).sum(1)
    own = rng.normal(size=(USERS, 4)) * [0.3, 0.8, 1.0, 0.5]
    bend = own[user] + effects[day] * DAY
    late = day >= since
    app = _app(rng.normal(size=(USERS, 3))[user] * 1.5 + bend[:, 2:3] * [1, -1, 0], rng)
    language = np.where(rng.random(USERS) < 0.12, "de", "en")[user]
    hard = rng.random(len(day)) < _odds(-1.2 + bend[:, 1] + np.where(late & (shift == "harder"), size, 0))
    length = np.exp(2.6 + bend[:, 0] + 0.5 * rng.normal(size=len(day)) + np.where(late & (shift == "longer"), size, 0))
    turned = late & (shift == "language") & (rng.random(USERS) < size)[user]
    return _frame(rng, day, user, app, np.where(turned, "ru", language), hard, length, bend[:, 3], late, shift, size)


def _effects(rng: np.random.Generator, kind: Kind, days: int) -> F64:
    """Return what moves every day, (days, 4), of variance ``kind.day``²."""
    fresh = rng.normal(size=(days, 4))
    for d in range(1, days):
        fresh[d] = kind.persistence * fresh[d - 1] + np.sqrt(1 - kind.persistence**2) * fresh[d]
    return kind.day * fresh


def _present(rng: np.random.Generator, kind: Kind, days: int) -> NDArray[np.bool_]:
    """Say which users are there on which day, (days, USERS)."""
    if not kind.churn:
        return np.ones((days, USERS), bool)
    start = rng.integers(-14, days, USERS)
    today = np.arange(days)[:, None]
    return (today >= start) & (today < start + 14)


def _odds(x: F64) -> F64:
    return 1 / (1 + np.exp(-x))


def _app(pull: F64, rng: np.random.Generator) -> NDArray[np.str_]:
    return np.array(APPS)[(pull + rng.gumbel(size=pull.shape)).argmax(1)]


def _frame(
    rng: np.random.Generator,
    day: Any,
    user: Any,
    app: Any,
    language: Any,
    hard: Any,
    length: F64,
    fail: F64,
    late: Any,
    shift: str,
    size: float,
) -> pd.DataFrame:
    n = len(day)
    words = {name: np.array(text.split()) for name, text in _WORDS.items()}
    count = np.maximum(length, 2).astype(int)
    text = [
        " ".join(rng.choice(words[lang], c)) + (f" {rng.choice(_HARD)}" if h else "")
        for lang, c, h in zip(language, count, hard, strict=True)
    ]
    edited = late & (shift == "template") & (app == "chat") & (rng.random(n) < size)
    system = np.where(edited, "You help customers. Be brief. ", [_SYSTEM[a] for a in app])
    model = np.where((app == "search") | (rng.random(n) < 0.02), MODELS[1], MODELS[0])
    model = np.where(late & (shift == "model") & (rng.random(n) < size), MODELS[1], model)
    model = np.where(late & (shift == "version") & (model == MODELS[0]) & (rng.random(n) < size), f"{MODELS[0]}-2026-11-02", model)
    failed = rng.random(n) < _odds(-4 + fail + np.where(late & (shift == "failures"), size, 0))
    tokens = (4 * count + 40 + rng.integers(0, 20, n)).astype(int)
    cached = np.where(rng.random(n) < 0.4, np.minimum(32, tokens), 0)
    answer = np.rint(np.exp(4.5 + 0.5 * hard + 0.5 * rng.normal(size=n))).astype(int)
    when = day * 86_400 + 86_400 * rng.random(n)
    return pd.DataFrame(
        {
            "request_id": [f"r{i}" for i in range(n)],
            "timestamp": MONDAY + (1e6 * when).astype("timedelta64[us]"),
            "user": [f"u{u}" for u in user],
            "app": app,
            "provider": "openai",
            "model": model,
            "messages": [
                json.dumps([{"role": "system", "content": s}, {"role": "user", "content": t}]) for s, t in zip(system, text, strict=True)
            ],
            "text_state": "full",
            "prompt_version": [f"{a}-v1" for a in app],
            "has_tools": (app == "code") & (rng.random(n) < 0.7),
            "input_tokens": np.where(failed, 0, tokens - cached),
            "cache_read_tokens": np.where(failed, 0, cached),
            "output_tokens": np.where(failed, 0, answer),
            "status": np.where(failed, "transport", "ok"),
            "hard": hard,
        }
    )


def stored(folder: Path, frame: pd.DataFrame) -> Traffic:
    """Write requests as a log."""
    with TrafficWriter(folder) as writer:
        writer.accept(
            pa.Table.from_pandas(
                frame.drop(columns="hard").assign(timestamp=frame["timestamp"].dt.tz_localize("UTC")), preserve_index=False
            )
        )
        return writer.close(source_format="generated")


@cache
def router() -> Router:
    """Return a router trained on 1,200 requests of steady traffic: the smaller model fails where it is hard."""
    frame = asked(10**6, KINDS["steady"], 14).head(1_200)
    rng = np.random.default_rng(0)
    right = np.where(frame["hard"].to_numpy()[:, None], [0.9, 0.3], [0.92, 0.91])
    items = frame[["request_id", "app", "user", "messages", "has_tools"]]
    outcomes = pd.concat(
        pd.DataFrame(
            {"request_id": frame["request_id"], "model": m, "quality": (rng.random(len(frame)) < right[:, k]).astype(float)}
        ).assign(grader="exact", input_tokens=100, output_tokens=100, cost_usd=0.01 / 5**k)
        for k, m in enumerate(MODELS)
    )
    return train(Labels.of(items, outcomes), reference=MODELS[0], book=PriceBook.load(), floor=0.05).router.with_tau(TAU)


def exported(folder: Path, before: Traffic) -> Path:
    """Write the bundle that an export with this log beside it would: the profile of its requests and the prices of its day."""
    times = before.frame("timestamp")["timestamp"]
    log = {"to": f"{times.max().tz_localize(None).isoformat()}Z", "days": float(REFERENCE)}
    quotes = {model: book().quote(model, "openai", at=EXPORTED) for model in MODELS}
    rates = {
        model: {"provider": q.provider, "usd_per_mtok": dict(q.usd_per_mtok), "usd_per_request": q.usd_per_request, "above": list(q.above)}
        for model, q in quotes.items()
    }
    prediction = {"log": log, "profile": profile(before, router()), "prices": {"rates": rates}}
    return export(router(), folder, evaluation={"prediction": prediction})


def null(job: tuple[str, int]) -> tuple[str, dict[str, list[list[str]]]]:
    """Return the kind, and the alarms of four looks at a log in which nothing changes, against the log before and against its profile."""
    name, seed = job
    with tempfile.TemporaryDirectory() as scratch:
        frame = asked(seed, KINDS[name], REFERENCE + LOOKS * WEEK)
        weeks = (frame["timestamp"].to_numpy() - MONDAY).astype("timedelta64[D]").astype(int) - REFERENCE
        before = stored(Path(scratch, "before"), frame[weeks < 0])
        bundle = exported(Path(scratch, "bundle"), before)
        found: dict[str, list[list[str]]] = {"log": [], "profile": []}
        for k in range(LOOKS):
            now = stored(Path(scratch, f"week{k}"), frame[weeks // WEEK == k])
            for reference, log in (("log", before), ("profile", None)):
                looks = Path(scratch, f"{reference}.json")
                try:
                    seen = drift(now, bundle, before=log, looks=looks, planned=LOOKS, book=book(), seed=seed)
                except NeedsError:
                    continue  # too few groups of users to say anything
                found[reference].append(list(seen.alarms))
        return name, found


def planted(job: tuple[str, float, str, int]) -> tuple[str, float, tuple[str, ...]]:
    """Return the change, its size and the alarms of the first of four looks at a log with it, against the log before."""
    shift, size, kind, seed = job
    with tempfile.TemporaryDirectory() as scratch:
        frame = asked(seed, KINDS[kind], REFERENCE + WEEK, shift, size, REFERENCE)
        late = (frame["timestamp"].to_numpy() - MONDAY).astype("timedelta64[D]").astype(int) >= REFERENCE
        before, now = stored(Path(scratch, "before"), frame[~late]), stored(Path(scratch, "now"), frame[late])
        bundle = exported(Path(scratch, "bundle"), before) if shift == "price" else router()
        prices = dearer(Path(scratch, "prices.yaml"), size) if shift == "price" else book()
        found = drift(now, bundle, before=before, looks=Path(scratch, "looks.json"), planned=LOOKS, book=prices, seed=seed)
        return shift, size, found.alarms


@cache
def book() -> PriceBook:
    """Return the catalogue."""
    return PriceBook.load()


def dearer(file: Path, size: float) -> PriceBook:
    """Return the catalogue with the larger model's input dearer by ``size`` from a day of now on."""
    old = book().quote(MODELS[0], "openai", at=EXPORTED).usd_per_mtok["input_tokens"]
    dear = {"provider": "openai", "model": MODELS[0], "from": dt.date(2026, 10, 27), "source": "a letter"}
    rates = [{**dear, "usd_per_mtok": {"input_tokens": old * (1 + size)}}]
    file.write_text(yaml.safe_dump({"format": "planner.prices", "version": 1, "rates": rates}), "utf-8")
    return PriceBook.load(file)


def nulls(logs: int, jobs: int) -> dict[str, Any]:
    """Count the logs in which any of four looks alarms, by reference, kind and measure."""
    names = [name for name in KINDS for _ in range(-(-logs // len(KINDS)))][:logs]
    with ProcessPoolExecutor(jobs) as pool:
        found = [*pool.map(null, [(name, seed) for seed, name in enumerate(names)], chunksize=2)]
    return {
        reference: {"against": reference, **_counted([(kind, own[reference]) for kind, own in found])} for reference in ("log", "profile")
    }


def _counted(found: Sequence[tuple[str, list[list[str]]]]) -> dict[str, Any]:
    alarmed = {name: sum(any(looks) for kind, looks in found if kind == name) for name in KINDS}
    which = [measure for _, looks in found for measure in {m for look in looks for m in look}]
    refused = 1 - sum(len(looks) for _, looks in found) / (LOOKS * len(found))
    counts = {"logs": len(found), "alarms": sum(alarmed.values()), "by_kind": alarmed}
    counts["by_measure"] = {m: which.count(m) for m in dict.fromkeys(which)}
    return {**counts, "looks": LOOKS, "looks_refused": round(refused, 3), "alpha": ALPHA}


def power(logs: int, jobs: int) -> list[dict[str, Any]]:
    """Count how often each planted change is found by the first of four looks, in any measure and in its own."""
    asked_of = [(shift, size, "days", 10_000 + k) for shift, sizes, _ in PLANTED for size in sizes for k in range(logs)]
    with ProcessPoolExecutor(jobs) as pool:
        found = [*pool.map(planted, asked_of, chunksize=2)]
    return [
        {
            "shift": shift,
            "size": size,
            "found": sum(bool(alarms) for s, x, alarms in found if (s, x) == (shift, size)) / logs,
            "found_in_its_measure": sum(measure in alarms for s, x, alarms in found if (s, x) == (shift, size)) / logs,
            "measure": measure,
            "logs": logs,
        }
        for shift, sizes, measure in PLANTED
        for size in sizes
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the measurement, as JSON with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--nulls", type=int, default=200)
    parser.add_argument("--planted", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    router()
    found = {"nulls": nulls(options.nulls, options.jobs), "planted": power(options.planted, options.jobs)}
    if options.json:
        print(json.dumps(found, indent=1))
        return
    lines = [*found["nulls"].values(), *found["planted"]]
    print("\n".join("  ".join(f"{k} {v}" for k, v in line.items()) for line in lines))


if __name__ == "__main__":
    main()
