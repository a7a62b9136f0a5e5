"""How long a decision takes on one core, beside scikit-learn's TF-IDF + Ridge on the same rows, and MiniLM.

In: the sample's labels, or MMLU's from a folder. Out: p50 and p99 of one decision [µs], decisions a second in a batch, the same
of each peer, what import and load take, and the size of the bundle. Ours goes from messages to a model with its reason: parsing,
token counts, feasibility, support, features, scores, costs. A peer gets ready strings and predicts gains. Run:
``python -m benchmarks.decision_latency --json``.

Every method takes its turn in every round, on the same prompts, none of them trained on. Times are the thread's own CPU time,
so that what else runs on the machine does not decide the comparison; a prompt's time is its median over the rounds, p50 and p99
are over prompts. ``…_wall_us`` are the clock's, over every single call of ours, interruptions included.
``…_scores_only`` does in a batch what a peer does and no more: gains of strings that are ready, nothing parsed, counted or decided.
``speedup_single`` and ``speedup_batch`` are over the pipeline with the same families of n-grams (tokens of the turn,
tokens of the template, app); ``…_words_only`` over the one that reads nothing but words and pairs of words of the turn.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import quicktok
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline, make_union
from threadpoolctl import threadpool_limits

from benchmarks.routing import minilm
from planner.bundle import export
from planner.labels import Labels, read_labels
from planner.router import FeatureSpec, LinearScorer, Requests, Router
from planner.text.messages import parse
from planner.training import train

SAMPLE = Path(__file__).parents[1] / "data" / "sample_labels"
#: Prices of the two models of MMLU as a ratio; they do not change what a decision takes.
MMLU, MMLU_COST = "routellm_mmlu.parquet", {"mixtral_8x7b_instruct": 1.0, "gpt_4_1106_preview": 25.0}
ROWS, TIMED, BATCH = 4_000, 300, 1_000
#: Prompts that MiniLM, some hundred times slower, is timed on.
FEW = 40
#: A peer's tokenizer, without anything of ours between.
_ENCODE = quicktok.get_encoding("o200k_base").encode_ordinary
#: A row as a peer sees it: turn, template, app.
Row = tuple[str, str, str]


@dataclass(frozen=True)
class Case:
    """A trained router, and prompts it has not seen: as a gateway sees them, and as rows for the peers."""

    dataset: str
    router: Router
    fit: list[Row]
    gain: NDArray[np.float64]
    messages: list[Any]
    metadata: list[dict[str, Any]]
    rows: list[Row]


def sample_case() -> Case:
    """Return the sample's labels: chats with templates, tools and formats."""
    labels = Labels.open(SAMPLE)
    return made_case("sample", labels, {m: 1.0 + 9.0 * (m == "gpt-5.4") for m in labels.models}, "gpt-5.4")


def mmlu_case(folder: Path) -> Case:
    """Return part of RouteLLM's MMLU outcomes: bare prompts, the subject as app."""
    labels = read_labels(folder / MMLU)
    keep = labels.items["request_id"].sample(ROWS, random_state=0)
    part = Labels.of(
        labels.items[labels.items["request_id"].isin(keep)].reset_index(drop=True),
        labels.outcomes[labels.outcomes["request_id"].isin(keep)].reset_index(drop=True),
    )
    return made_case("routellm_mmlu", part, MMLU_COST, "gpt_4_1106_preview")


def made_case(name: str, labels: Labels, cost: dict[str, float], reference: str) -> Case:
    """Train on ``labels``, and keep the rows that judge, as far as the router does not abstain from them, to be timed."""
    training = train(labels, reference=reference, cost=cost)
    problem, items = training.problem, labels.items
    rows = list(zip(problem.requests.user, problem.requests.system, problem.requests.app, strict=True))
    fit = np.flatnonzero(problem.part != "judge")
    held = np.flatnonzero((problem.part == "judge") & (training.router.scores(problem.requests, "").abstain == 0))
    metadata = [
        {"app": a, "has_tools": t, "response_format": f, "max_tokens": m}
        for a, t, f, m in zip(items["app"], items["has_tools"], items["response_format"], items["max_tokens"], strict=True)
    ]
    return Case(
        name,
        training.router,
        [rows[i] for i in fit],
        np.nan_to_num(problem.gain[fit]),
        [parse(items["messages"].iloc[i]) for i in held],
        [metadata[i] for i in held],
        [rows[i] for i in held],
    )


def words_only() -> Any:
    """Return the usual pipeline: words and pairs of words of the turn."""
    return make_pipeline(_tfidf(preprocessor=_lower_turn), Ridge(solver="sparse_cg", tol=1e-2))


def same_families(spec: FeatureSpec, templates: bool) -> Any:
    """Return the pipeline with the router's families of n-grams; templates only where the rows have some."""
    tokens = {"tokenizer": _tokens, "token_pattern": None}
    blocks = [_tfidf(preprocessor=_turn, **tokens)] if spec.token_bits else []
    blocks += [_tfidf(preprocessor=_template, **tokens)] if spec.template_bits and templates else []
    blocks += [TfidfVectorizer(analyzer=_app)] if spec.app_bits else []
    return make_pipeline(make_union(*blocks), Ridge(solver="sparse_cg", tol=1e-2))


def _tfidf(**settings: Any) -> TfidfVectorizer:
    return TfidfVectorizer(**{"ngram_range": (1, 2), "sublinear_tf": True, "min_df": 2, **settings})


def _turn(row: Row) -> str:
    return row[0]


def _lower_turn(row: Row) -> str:
    return row[0].lower()


def _template(row: Row) -> str:
    return row[1]


def _app(row: Row) -> list[str]:
    return [row[2]]


def _tokens(text: str) -> list[str]:
    return list(map(str, _ENCODE(text)))


@dataclass(frozen=True)
class Method:
    """What is timed: one prompt by its position, and a batch by its number; every batch is in another order, so that none repeats."""

    one: Callable[[int], object]
    many: Callable[[int], object]


def methods(case: Case, batch: int) -> dict[str, Method]:
    """Return the router and its peers, trained; ``batch`` prompts make a batch."""
    router, many = case.router, np.arange(batch) % len(case.rows)

    def decide_many(turn: int) -> object:
        at = np.roll(many, turn).tolist()
        columns = {k: [case.metadata[i][k] for i in at] for k in case.metadata[0]}
        return router.decide_many(Requests.of([case.messages[i] for i in at], **columns))

    found = {"planner": Method(lambda i: router.decide(case.messages[i], case.metadata[i]), decide_many)}
    found["scores"] = Method(lambda i: None, _scores_many(case, many))
    if not isinstance(router.scorer, LinearScorer):
        raise TypeError(f"the learned router scores with {type(router.scorer).__name__}, not with features")
    peers = {"same": same_families(router.scorer.spec, any(t for _, t, _ in case.fit)), "words": words_only()}
    for name, peer in peers.items():
        peer.fit(case.fit, case.gain)
        found[name] = Method(partial(_predict, peer, case.rows), partial(_predict_many, peer, case.rows, many))
    return found


def _scores_many(case: Case, many: NDArray[np.int64]) -> Callable[[int], object]:
    """Return what a peer does and no more: gains of strings that are ready."""

    def gains(turn: int) -> object:
        turns, templates, apps = zip(*(case.rows[i] for i in np.roll(many, -turn - 1).tolist()), strict=True)
        zero, n = np.zeros(len(many), np.int64), len(many)
        plain = (zero, zero, zero, zero, apps, ("",) * n, zero > 0, zero.astype(np.int8), zero, zero.astype(np.int8))
        return case.router.scorer.gains(Requests(templates, turns, *plain))

    return gains


def _predict(peer: Any, rows: Sequence[Row], i: int) -> object:
    return peer.predict([rows[i]])


def _predict_many(peer: Any, rows: Sequence[Row], many: NDArray[np.int64], turn: int) -> object:
    return peer.predict([rows[i] for i in np.roll(many, turn).tolist()])


def timed(found: dict[str, Method], prompts: int, rounds: int) -> dict[str, tuple[NDArray[np.float64], list[float]]]:
    """Return for each method CPU and wall seconds of each prompt in each round (rounds, prompts, 2), and CPU seconds of each batch."""
    single: dict[str, list[list[tuple[float, float]]]] = {name: [] for name in found}
    batch: dict[str, list[float]] = {name: [] for name in found}
    for turn in range(rounds + 1):
        for name, method in found.items():
            gc.collect()
            single[name].append([_seconds(partial(method.one, i)) for i in range(prompts)])
            gc.collect()
            batch[name].append(_seconds(partial(method.many, turn))[0])
            if turn == 0:  # the first round warms up
                single[name].clear()
                batch[name].clear()
    return {name: (np.array(single[name]), batch[name]) for name in found}


def _seconds(run: Callable[[], object]) -> tuple[float, float]:
    """Return the thread's CPU seconds, and the clock's."""
    wall, cpu = time.perf_counter(), time.thread_time()
    run()
    return time.thread_time() - cpu, time.perf_counter() - wall


def measure(case: Case, prompts: int = TIMED, batch: int = BATCH, rounds: int = 9) -> dict[str, Any]:
    """Return all numbers of one case."""
    prompts = min(prompts, len(case.rows))
    with threadpool_limits(1):
        times = timed(methods(case, batch), prompts, rounds)
        embedded = _minilm([turn for turn, _, _ in case.rows[:FEW]])
    p50 = {name: float(np.median(np.median(single[:, :, 0], 0))) * 1e6 for name, (single, _) in times.items()}
    rate = {name: batch / median(seconds) for name, (_, seconds) in times.items()}
    own = times["planner"][0] * 1e6
    return {
        "dataset": case.dataset,
        "trained_rows": len(case.fit),
        "candidates": len(case.router.candidates),
        "prompts": prompts,
        **_sizes(case.rows[:prompts]),
        "p50_us": round(p50["planner"], 1),
        "p99_us": round(float(np.percentile(np.median(own[:, :, 0], 0), 99)), 1),
        "p50_wall_us": round(float(np.percentile(own[:, :, 1], 50)), 1),
        "p99_wall_us": round(float(np.percentile(own[:, :, 1], 99)), 1),
        "per_s": round(rate["planner"]),
        "per_s_scores_only": round(rate["scores"]),
        "speedup_single": round(p50["same"] / p50["planner"], 1),
        "speedup_batch": round(rate["planner"] / rate["same"], 1),
        "speedup_batch_scores_only": round(rate["scores"] / rate["same"], 1),
        "speedup_single_words_only": round(p50["words"] / p50["planner"], 1),
        "speedup_batch_words_only": round(rate["planner"] / rate["words"], 1),
        "sklearn_p50_us": round(p50["same"], 1),
        "sklearn_per_s": round(rate["same"]),
        "sklearn_words_only_p50_us": round(p50["words"], 1),
        "sklearn_words_only_per_s": round(rate["words"]),
        **embedded,
        **_bundle(case.router, min(rounds, 5)),
        "threads": 1,
        "rounds": rounds,
    }


def _sizes(rows: Sequence[Row]) -> dict[str, int]:
    turn, template = (np.percentile([len(r[i]) for r in rows], [50, 99]).round().astype(int).tolist() for i in (0, 1))
    return {"turn_chars_p50": turn[0], "turn_chars_p99": turn[1], "template_chars_p50": template[0], "template_chars_p99": template[1]}


def _minilm(texts: list[str]) -> dict[str, Any]:
    """Time int8 MiniLM's embedding of the turn alone, where it is installed."""
    if minilm.absent():
        return {"minilm": minilm.absent()}
    minilm.encode(texts[:2])
    single = [_seconds(partial(minilm.encode, [t]))[0] for t in texts]
    return {"minilm_p50_us": round(median(single) * 1e6), "minilm_per_s": round(len(texts) / _seconds(partial(minilm.encode, texts))[0])}


_FRESH = """
import sys, time
start = time.process_time()
import planner.router
imported = time.process_time()
planner.router.Router.load(sys.argv[1])
print((imported - start) * 1e3, (time.process_time() - imported) * 1e3)
"""


def _bundle(router: Router, runs: int) -> dict[str, Any]:
    """Export, and measure size, import and load in fresh processes [CPU ms]: the median of ``runs``."""
    with TemporaryDirectory() as folder:
        bundle = export(router, Path(folder) / "bundle")
        size = sum(f.stat().st_size for f in bundle.rglob("*") if f.is_file())
        command = [sys.executable, "-c", _FRESH, str(bundle)]
        lines = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(runs)]
    imported, loaded = (round(median(float(line[i]) for line in lines), 1) for i in (0, 1))
    return {"import_ms": imported, "load_ms": loaded, "artefact_mb": round(size / 1e6, 2)}


def main() -> None:
    """Print the measurement, as JSON with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help=f"folder with {MMLU}: time its prompts instead of the sample's")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    result = measure(mmlu_case(options.data) if options.data else sample_case(), rounds=options.rounds)
    print(json.dumps(result) if options.json else "\n".join(f"{k:>26}: {v}" for k, v in result.items()))


if __name__ == "__main__":
    main()
