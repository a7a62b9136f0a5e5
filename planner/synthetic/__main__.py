"""``python -m planner.synthetic data``: write the sample log, its labels and its truth, with their sizes and hashes.

In: a folder. Out: files in it; the same bytes for the same versions. Knows nothing beyond the command line.
"""

from __future__ import annotations

import argparse
import sys
from hashlib import sha256
from pathlib import Path

from planner.synthetic.log import REQUESTS
from planner.synthetic.sample import write_sample
from planner.synthetic.world import SEED


def main() -> None:
    """Parse the arguments, write, and say what was written."""
    parser = argparse.ArgumentParser(prog="python -m planner.synthetic", description="Write the SYNTHETIC sample log and its labels.")
    parser.add_argument("folder", type=Path, help="where to write, for example data")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="requests in the log")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of everything drawn")
    arguments = parser.parse_args()
    from tqdm.auto import tqdm

    with tqdm(unit=" sessions") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        files = write_sample(arguments.folder, arguments.requests, arguments.seed, progress)
    for path in files:
        sys.stdout.write(f"{path.stat().st_size:>12,} bytes  sha256 {sha256(path.read_bytes()).hexdigest()}  {path}\n")
    sys.stdout.write(f"{sum(p.stat().st_size for p in files):>12,} bytes in all\n")


if __name__ == "__main__":
    main()
