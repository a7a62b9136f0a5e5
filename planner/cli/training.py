"""The training that train, simulate and export share: who answers today, names that are checked, and training with progress.

In: options from the command line, labels, perhaps a log. Out: a Training. Training is a function of labels, options and
seed, so that nothing beside a bundle is ever kept. Knows nothing of how a router is learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.cli.common import book_of, pairs, traffic_at
from planner.cli.output import figure, grid, note, percent, stages, usd, wrap
from planner.errors import InputError, PriceError, did_you_mean

if TYPE_CHECKING:
    from planner.cli.options import TrainingOptions
    from planner.labels import Labels
    from planner.router import Router
    from planner.traffic import Traffic
    from planner.training import Training

__all__ = ["fitted", "matched", "methods", "trained"]

_UNPRICED = "Rename it (--model OLD=NEW), state --cost MODEL=X for every model, or give its rates with --prices"
#: Columns that an error names at most.
_SEEN = 10


def trained(path: str, log: str | None, options: TrainingOptions, quiet: bool) -> Training:
    """Train on the labels at ``path``, called as in the log where there is one that shows who answers today."""
    arguments, labels = options.arguments(), options.labels(path)
    traffic = traffic_at(log, quiet) if log and not options.reference else None
    labels = labels if traffic is None else matched(labels, traffic, options.model)
    return fitted(labels, traffic, options.prices, quiet, **arguments)


def matched(labels: Labels, traffic: Traffic, models: Sequence[str] | None, router: Router | None = None) -> Labels:
    """Call labelled models as the log does where only provider or date differ and no other fits; say so, and what is left open.

    Names in ``models`` (``--model``) are settled, and so are those that ``router`` decides for.
    """
    from planner.labels import match_models, one_to_one

    settled = {*pairs(models, "--model").values()}
    logged = traffic.arrow("model")["model"].unique().drop_null().to_pylist()
    found = match_models({*labels.models} - settled, {*logged} - settled)
    own = {router.reference, *router.candidates, *dict(router.references).values()} if router else set()
    sure = {old: new for old, new in one_to_one(found).items() if old not in own}
    for old, names in found.items():
        note(wrap(_renamed(old, names, old in sure, old in own)))
    return labels.renamed(sure)


def _renamed(old: str, names: Sequence[str], sure: bool, own: bool) -> str:
    head = f"The labels' {old} {'is taken for' if sure else 'may be'} the log's {' or '.join(names)}: the names differ in provider or date."
    if sure:
        return f"{head} If it is another: --model {old}={old}."
    done = "The bundle is of the labels' names: train it again with --log" if own else f"Say which: --model {old}=NAME"
    return f"{head} {done}; until then quality under the log's name is unknown."


def fitted(labels: Labels, traffic: Traffic | None, prices: Path | None, quiet: bool, **options: Any) -> Training:
    """Train, with progress, each app against its own model of today where ``traffic`` shows it.

    InputError for a model in an option that the labels do not know, also not by a name they had, and for one without a --cost.
    """
    from planner.prices.names import HOW_TO_ADD
    from planner.training import train

    options = _as_labelled(options, labels)
    _check_names(labels, options)
    with stages("training", quiet) as progress:
        try:
            return train(labels, traffic, book=book_of(prices), progress=progress, **options)
        except PriceError as error:
            other = error.fix.removesuffix(HOW_TO_ADD).removesuffix("; else ")
            raise PriceError(error.got, error.expected, f"{other}. {_UNPRICED}" if other else _UNPRICED) from error


def _check_names(labels: Labels, options: dict[str, Any]) -> None:
    """Raise InputError where an option names models that are not labelled, or a table's column was not taken for a model's."""
    for option in ("cost", "expected_output"):
        for name in options[option] or ():
            if name not in labels.models:
                raise _unlabelled(f"--{option.replace('_', '-')}", name, labels)
    if len(labels.models) == 1 and (left := labels.meta.get("left_out")):
        raise InputError(
            f"grades of {labels.models[0]} alone{_read_from(labels)}", "at least two models", _not_taken(next(iter(left)), left)
        )
    wanted = {*(options["candidates"] or labels.models)} | ({options["reference"]} if options["reference"] else set())
    if options["cost"] and (missing := sorted({*labels.models} & wanted - {*options["cost"]})):
        fix = f"add {','.join(f'{m}=X' for m in missing)}, or name only those with a cost with --candidate"
        raise InputError(f"--cost without {', '.join(missing)}", "the cost of every model to choose among", fix)


def _unlabelled(option: str, name: str, labels: Labels) -> InputError:
    """Return the error for a model that is not labelled, with the cause where it lies in the columns of the table."""
    left, read = labels.meta.get("left_out", {}), labels.meta.get("columns", {}).get("quality", ())
    if own := [column for column in left if name in column]:
        fix = _not_taken(own[0], left)
    elif name in read:
        fix = "name the model, not its column"
    elif (cut := [column for column in read if name in column]) and not any(name in model for model in labels.models):
        fix = f"column {cut[0]} was read as another model: correct --quality"
    else:
        fix = did_you_mean(name, (*labels.models, *labels.meta.get("renamed", ())))
    return InputError(f"'{option} {name}=…'", f"one of {', '.join(labels.models)}{_read_from(labels)}", fix)


def _read_from(labels: Labels) -> str:
    columns = labels.meta.get("columns", {}).get("quality", [])
    more = ", …" if len(columns) > _SEEN else ""
    return f" (read from the columns {', '.join(columns[:_SEEN])}{more})" if columns else ""


def _not_taken(column: str, left: Mapping[str, str]) -> str:
    return f"column {column} was not taken, since {left[column]}: rename it, or name the columns of all models with --quality 'PATTERN*'"


def _as_labelled(options: dict[str, Any], labels: Labels) -> dict[str, Any]:
    """Call the models in ``options`` as the labels do now, where they were renamed."""
    now = {old: new for old, new in labels.meta.get("renamed", {}).items() if old not in labels.models}
    lists = {"candidates": options["candidates"] and [now.get(m, m) for m in options["candidates"]]}
    rates = {name: options[name] and {now.get(m, m): x for m, x in options[name].items()} for name in ("cost", "expected_output")}
    return {**options, **lists, **rates, "reference": now.get(options["reference"], options["reference"])}


def methods(training: Training) -> str:
    """Lay out every method on the rows that judged."""
    table = training.table.reset_index()
    table["interval"] = [f"[{low:+z.4f}, {high:+z.4f}]" for low, high in zip(table["diff_low"], table["diff_high"], strict=True)]
    home = table["usd_per_1k"][table["method"] == "reference"].iloc[0]
    table["saving"] = 1 - table["usd_per_1k"] / home if home > 0 else float("nan")
    columns: dict[str, Any] = {
        "method": ("method", str),
        "usd_per_1k": ("cost per 1,000", figure) if training.router.costs.basis.startswith("stated") else ("$ per 1,000", usd),
        "saving": ("saving", percent),
        "quality": ("quality", "{:.4f}".format),
        "quality_diff": ("difference", "{:+z.4f}".format),
        "interval": ("95 % interval", str),
    }
    head = f"Measured on {training.notes['judged_rows']:,} held-out requests (rates: {training.router.costs.basis}):"
    return f"{head}\n{grid(table, columns)}"
