"""The sample on disk: writing it, and opening it wherever planner is installed.

In: a folder. Out: the log, labels and truth in it, or the opened Traffic and Labels. Knows nothing of how they are made.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from planner.labels import Labels
from planner.synthetic.log import REQUESTS, Progress, build
from planner.synthetic.world import SEED
from planner.traffic import Traffic

__all__ = ["MAPPING", "load_sample", "sample_folder", "write_sample"]

#: Where the log carries the score of an automatic check.
MAPPING = {"quality": "metadata.spend_logs_metadata.score"}
LOG, _LABELS, _TRUTH = "sample_log.jsonl.zst", "sample_labels", "sample_truth.parquet"


def write_sample(folder: str | Path, requests: int = REQUESTS, seed: int = SEED, progress: Progress | None = None) -> list[Path]:
    """Write log, labels and truth of ``requests`` requests into ``folder`` and return the files."""
    from planner.synthetic.labels import LABELLED, sample_labels
    from planner.synthetic.payloads import write
    from planner.synthetic.truth import truth

    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    log = build(requests, seed, progress)
    labelled = min(LABELLED, requests // 4)
    sample_labels(log, labelled).save(path / _LABELS)
    known = truth(log, labelled=labelled).table
    known.astype(dict.fromkeys(known.columns[-3:], "float32")).to_parquet(path / _TRUTH, compression="zstd", index=False)
    write(log, path / LOG)
    return [path / LOG, *sorted((path / _LABELS).iterdir()), path / _TRUTH]


def sample_folder() -> Path:
    """Return the folder of the sample: ``data/`` of a checkout, else ``.planner/sample``, where it is made (half a minute)."""
    checkout = Path(__file__).resolve().parents[2] / "data"
    if (checkout / LOG).is_file():
        return checkout
    folder = Path(".planner") / "sample"
    if not (folder / LOG).is_file():
        write_sample(folder)
    return folder


def load_sample(progress: Callable[[int, int], None] | None = None) -> tuple[Traffic, Labels]:
    """Open the SYNTHETIC sample: its log as Traffic (read once into ``.planner/``, with ``progress``), and its labels.

    ``truth`` of the same requests is in :func:`planner.synthetic.read_truth` of ``sample_folder() / "sample_truth.parquet"``.
    """
    from planner.traffic import read

    folder = sample_folder()
    return read(folder / LOG, mapping=MAPPING, text=True, progress=progress), Labels.open(folder / _LABELS)
