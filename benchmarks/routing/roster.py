"""Which rows there are, and what has to be there before they run.

In: names asked for. Out: Methods, in the order of the report; embeddings computed once where some method needs them, methods
left out by name and reason where they cannot be. Knows nothing of metrics.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from benchmarks.routing import minilm
from benchmarks.routing.data import Data
from benchmarks.routing.embedding_peers import EMBEDDING_PEERS
from benchmarks.routing.method import Method
from benchmarks.routing.ours import OURS
from benchmarks.routing.rules import RULES
from benchmarks.routing.text_peers import TEXT_PEERS
from planner.errors import InputError

__all__ = ["left_out", "needs_met", "roster"]

#: Checked with llmrouter-lib 0.4.0.
LLMROUTER = (
    "not run: every router of llmrouter-lib subclasses torch.nn.Module and embeds with a downloaded Longformer, so neither import nor "
    "inference works offline without torch; its kNN, SVM and MLP are scikit-learn classifiers of the best model, the peers "
    "knn_minilm, svm_minilm and mlp_minilm here with the gain as target; its matrix factorisation is mf_minilm"
)
#: Rows times models beyond which a separate machine per model takes hours.
_MOST = 200_000
ALL = (*RULES, *OURS, *TEXT_PEERS, *EMBEDDING_PEERS)


def roster(names: Sequence[str] | None = None) -> list[Method]:
    """Return every method, or those whose names begin with one of ``names``; InputError when one fits nothing."""
    for name in names or ():
        if not any(m.name.startswith(name) for m in ALL):
            raise InputError(f"--methods {name}", f"the beginning of one of {', '.join(m.name for m in ALL)}")
    return [m for m in ALL if not names or any(m.name.startswith(n) for n in names)]


def left_out(names: Sequence[str] | None = None) -> dict[str, str]:
    """Return the library whose own code does not run here, with the reason; nothing where only some methods were asked for."""
    return {} if names else {"llmrouter_lib": LLMROUTER}


def needs_met(data: Data, methods: Sequence[Method], cache: Path) -> tuple[Data, list[Method], dict[str, str]]:
    """Return data with embeddings where needed, the methods that can run, and why each other one cannot.

    Without a domain column the rows that see it would repeat those that do not.
    """
    absent: dict[str, str] = {}
    if data.domains == 1:
        repeated = [m.name for m in methods if m.inputs == "all" and m.role != "planner"]
        absent |= dict.fromkeys(repeated, "no domain column: the row of text alone is the same")
    if missing := minilm.absent():
        absent |= {m.name: missing for m in methods if m.needs_embedding}
    if len(data) * data.k > _MOST:
        slow = [m.name for m in methods if "_svm_" in m.name or m.name.startswith("svm_")]
        absent |= dict.fromkeys(slow, f"would take hours on {len(data):,} rows and {data.k} models: --max-rows brings it back")
    kept = [m for m in methods if m.name not in absent]
    if any(m.needs_embedding for m in kept):
        with tqdm(total=len(data), desc=f"{data.name}: MiniLM", file=sys.stderr) as bar:
            data = replace(data, embedding=minilm.embed(data.text, cache, bar.update))
    return data, kept, absent
