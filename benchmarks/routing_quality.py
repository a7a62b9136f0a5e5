"""Quality of routing on labelled rows: the planner's router beside bounds, simple rules and the best alternatives.

In: a table of graded answers, or a folder with the public ones. Out: one line per dataset and method, from nested
cross-validation with intervals. Run: ``python -m benchmarks.routing_quality --labels FILE --reference MODEL --json``, or
``--data DIR``; README.md beside this file says what each key means.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.routing import report
from benchmarks.routing.data import Data, pose
from benchmarks.routing.ensemble import Kept, ensembles
from benchmarks.routing.evaluate import Outcome, Setting, evaluate, single
from benchmarks.routing.folds import tasks
from benchmarks.routing.learning_curve import CHEAP, SIZES, learning_curve, text
from benchmarks.routing.method import Method
from benchmarks.routing.minilm import cache_folder
from benchmarks.routing.roster import left_out, needs_met, roster
from benchmarks.routing.store import fingerprint, stored
from planner.errors import InputError, PlannerError
from planner.labels import read_labels

#: The public files that --data looks for, with the model their requests would otherwise go to; None for the best.
PUBLIC: Mapping[str, str | None] = {"routellm_mmlu": "gpt_4_1106_preview", "llmrouter_train": None}


def measure(
    data: Data, methods: Sequence[Method], setting: Setting, jobs: int = 1, show: bool = True, reuse: Path | None = None
) -> list[Outcome]:
    """Return the outcome of every method, single models first; one that cannot be fitted to these rows says why in its note.

    ``reuse`` is a folder that keeps the outcomes of all but the planner's rows.
    """
    means = np.average(data.quality[data.whole], axis=0, weights=data.weight[data.whole])
    found = [single(data, "cheapest", int(data.rates.argmin()), setting), single(data, "best", int(means.argmax()), setting)]
    folds = sum(map(len, setting.folds))
    kept, mark = Kept(), fingerprint(data, setting) if reuse else ""
    with tqdm(total=folds * len(methods), desc=data.name, disable=not show, file=sys.stderr) as bar:
        for method in methods:
            bar.set_postfix_str(method.name)
            run = partial(evaluate, data, method, setting, bar.update, _mapped(jobs), kept)
            found += _outcomes(method, partial(stored, None if method.role == "planner" else reuse, mark, method.name, run, kept))
    for method in ensembles(kept):
        found += _outcomes(method, partial(evaluate, data, method, setting))
    return found


def _outcomes(method: Method, run: Callable[[], list[Outcome]]) -> list[Outcome]:
    try:
        return run()
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, PlannerError) as error:
        return [Outcome(method.name, method.inputs, method.role, {}, note=f"{type(error).__name__}: {error}")]


def _mapped(jobs: int) -> Any:
    if jobs == 1:
        return None
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    return lambda f, items: Parallel(n_jobs=jobs, return_as="generator")(delayed(f)(i) for i in items)


def read_costs(path: Path) -> Mapping[str, float]:
    """Read costs per request by model, JSON or YAML; InputError when it is neither."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"--costs {path}: {error}", "a JSON or YAML file of model: cost") from error
    if not isinstance(found, dict):
        raise InputError(f"--costs {path}: {type(found).__name__}", "a mapping of model: cost per request")
    return {str(k): v for k, v in found.items()}


def datasets(options: argparse.Namespace) -> list[Data]:
    """Read what was named; files of --data that are not there are left out with a line on stderr."""
    bring = partial(pose, costs=read_costs(options.costs) if options.costs else None, max_rows=options.max_rows, seed=options.seed)
    if options.labels:
        return [bring(read_labels(options.labels), Path(options.labels).stem, reference=options.reference)]
    here = {n: options.data / f"{n}.parquet" for n in PUBLIC}
    for path in here.values():
        if not path.is_file():
            print(f"{path}: not there, left out", file=sys.stderr)
    return [bring(read_labels(p), n, reference=PUBLIC[n]) for n, p in here.items() if p.is_file()]


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--labels", type=Path, help="a table of graded answers, as planner.read_labels takes it")
    source.add_argument("--data", type=Path, help=f"a folder with {', '.join(f'{n}.parquet' for n in PUBLIC)}")
    parser.add_argument("--reference", help="the model that requests go to otherwise (default: the best)")
    parser.add_argument("--costs", type=Path, help="JSON or YAML: model: cost per request")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="names or beginnings of names: planner tfidf length")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bootstrap", type=int, default=1000, help="replicates of the intervals")
    parser.add_argument("--max-rows", type=int)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--curve", action="store_true", help="quality by number of labels instead, for the methods fitted in seconds")
    parser.add_argument("--draws", type=int, default=30, help="draws of --curve")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of labels of --curve")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="folder that keeps embeddings (default: %(default)s)")
    parser.add_argument("--reuse", action="store_true", help="keep the outcomes of the peers there too, and take those that are")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print; errors in what was given are one sentence on stderr."""
    options = arguments(given)
    try:
        found: list[dict[str, Any]] = []
        for read in datasets(options):
            data, methods, notes = needs_met(read, roster(options.methods or (CHEAP if options.curve else None)), options.cache)
            found += _curve(data, methods, options) if options.curve else _lines(data, methods, notes, options)
    except PlannerError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(found, indent=1) if options.json else (text if options.curve else report.table)(found))
    return 0


def _lines(data: Data, methods: Sequence[Method], notes: dict[str, str], options: argparse.Namespace) -> list[dict[str, Any]]:
    setting = Setting(tasks(data.unit, options.repeats, options.seed), options.bootstrap, options.seed)
    outcomes = measure(data, methods, setting, options.jobs, reuse=options.cache if options.reuse else None)
    return report.lines(data, outcomes, setting, notes | left_out(options.methods))


def _curve(data: Data, methods: Sequence[Method], options: argparse.Namespace) -> list[dict[str, Any]]:
    with tqdm(desc=f"{data.name}: curve", file=sys.stderr) as bar:
        return learning_curve(data, methods, options.sizes, options.draws, seed=options.seed, each=bar.update)


if __name__ == "__main__":
    sys.exit(main())
