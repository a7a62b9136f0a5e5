"""The user's own grader: a command that reads one answer as JSON and prints its quality.

In: a command line. Out: a Grader that runs it once an answer. A command that fails, hangs or prints anything but a quality is a
reason why that answer is not graded, never a quality. Knows nothing of what the command does.
"""

from __future__ import annotations

import json
import math
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from planner.errors import InputError
from planner.labels.grading import Case, Grade, Grader, Verdicts

__all__ = ["command"]

_SAID = 300


def command(line: str | Sequence[str], *, version: str = "v1", timeout_s: float = 60.0, concurrency: int = 4) -> Grader:
    """Run ``line`` (no shell in between) for each answer, with the case as one JSON object on its standard input.

    The object has ``request_id, model, prompt_variant, repeat, app, messages, response, reference``. The command prints a
    number from 0 to 1, or an object with a number ``quality``, whose other fields are kept. Name a new ``version`` when the
    command changes. InputError when the program is not there.

    >>> from sys import executable
    >>> grader = command([executable, "-c", "import json, sys; print(float('4' in json.load(sys.stdin)['response']))"])
    >>> grader.verdicts([Case("a", "m", "", 0, "", None, "It is 4", None)])[0].quality
    1.0
    """
    words = shlex.split(line) if isinstance(line, str) else list(line)
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise InputError(f"command {line!r}", "a program that can be run", "check its path and that it is executable")
    if timeout_s <= 0 or concurrency < 1:
        raise InputError(f"timeout_s {timeout_s}, concurrency {concurrency}", "both above 0")
    return Grader(f"command:{_short(words)} {version}", _verdicts([program, *words[1:]], timeout_s, concurrency))


def _short(words: Sequence[str]) -> str:
    """Name a command by its program and first script, without paths and settings."""
    names = [w.replace("\\", "/").rpartition("/")[2] for w in words if not w.startswith("-")]
    return " ".join(names[:2])[:60]


def _verdicts(words: Sequence[str], timeout_s: float, concurrency: int) -> Verdicts:
    def run(case: Case) -> Grade:
        given = json.dumps(asdict(case), ensure_ascii=True)
        try:
            done = subprocess.run(words, input=given.encode(), capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            return Grade(reason="timeout", detail=f"no answer in {timeout_s:g} s")
        except OSError as error:
            return Grade(reason="not run", detail=error.strerror or str(error))
        if done.returncode:
            return Grade(reason=f"exit {done.returncode}", detail=done.stderr.decode("utf-8", "replace").strip()[-_SAID:])
        return _read(done.stdout.decode("utf-8", "replace"))

    def verdicts(cases: Sequence[Case]) -> list[Grade]:
        with ThreadPoolExecutor(concurrency) as pool:
            return list(pool.map(run, cases))

    return verdicts


def _read(printed: str) -> Grade:
    """Read what a command printed.

    >>> _read('{"quality": 0.5, "why": "half"}').checks, _read("1.5").reason, _read("fine").detail
    ({'why': 'half'}, 'no quality', 'printed: fine')
    """
    bad = Grade(reason="no quality", detail=f"printed: {printed.strip()[:_SAID]}")
    try:
        value = json.loads(printed)
    except (ValueError, RecursionError):
        return bad
    rest = {k: v for k, v in value.items() if k != "quality"} if isinstance(value, dict) else {}
    quality = value.get("quality") if isinstance(value, dict) else value
    if not isinstance(quality, int | float) or not math.isfinite(quality) or not 0 <= quality <= 1:
        return bad
    return Grade(float(quality), checks=rest)
