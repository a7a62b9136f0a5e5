"""Parts of files → pieces, in order, made by several processes at once.

In: parts of files in order, a reader, options. Out: their pieces in the same order; a piece hangs on its part alone, so that nothing hangs
on how many processes there are or which of them made it. Each is a new Python that imports this module and nothing of the caller's (no
``__main__`` runs again); until one has started the caller makes pieces itself. One that ends early costs nothing but time. Knows nothing of
what becomes of pieces.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from planner.traffic.kept import Kept
from planner.traffic.opening import Input
from planner.traffic.pieces import Converter, Piece
from planner.traffic.reader import Reader, all_readers, reader_named
from planner.traffic.records import Unopened

__all__ = ["pieces", "work"]

#: Fewer bytes are read before another process has started; more processes than these wait for the one that stores what they make.
_WORTH_BYTES, _MOST = 64 << 20, 7
#: Parts on their way per process: one in work, one that waits.
_AHEAD = 2
#: It imports this module alone: what the package imports for its users would take longer to import than many parts to convert.
_PROGRAM = """
import sys, types
class NoPandas:  # Arrow would import it, to look whether what it is given is of it
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ImportError(name)
sys.meta_path.insert(0, NoPandas())
package = types.ModuleType("planner.traffic")
package.__path__ = [sys.argv[1]]
sys.modules["planner.traffic"] = package
from planner.traffic.crew import work
work()
"""
_LOST = (OSError, EOFError, pickle.PickleError)


@dataclass(slots=True)
class _Task:
    """A part, and its piece once there is one: kept from before, made here, or by a process."""

    number: int
    file: str
    given: Input
    elsewhere: Future[Piece] | None
    piece: Piece | None
    kept: bool


def pieces(parts: Iterator[tuple[str, Input]], convert: Converter, kept: Kept, size: int) -> Iterator[tuple[Piece, Input]]:
    """Yield the piece of every part of (file, part), and the part; what is ``kept`` is not made again.

    ``size`` is what there is to read [bytes].
    """
    count = _helpers(convert.reader, size)
    with _Crew(count, convert) as crew:
        numbered, tasks = enumerate(parts), deque[_Task]()
        while True:
            for number, (file, given) in islice(numbered, max(0, _AHEAD * count + 1 - len(tasks))):
                piece = kept.piece(number, file, given, convert)
                elsewhere = crew.started(file, given) if count and piece is None else None
                tasks.append(_Task(number, file, given, elsewhere, piece, kept=piece is not None))
            if not tasks:
                return
            piece = _done(tasks, convert, crew)
            task = tasks.popleft()
            if not task.kept:
                kept.keep(task.number, piece)
            yield piece, task.given


def _done(tasks: deque[_Task], convert: Converter, crew: _Crew) -> Piece:
    """Return the piece of the first task; what no process will make, and while none has started also what waits for one, is made here."""

    def is_mine(task: _Task) -> bool:
        return task.piece is None and (task.elsewhere is None or (not crew.ready and task.elsewhere.cancel()))

    first = tasks[0]
    while first.piece is None:
        if first.elsewhere is not None and first.elsewhere.done() and not first.elsewhere.cancelled():
            try:
                return first.elsewhere.result()
            except _LOST:
                first.elsewhere = None
        mine = next(filter(is_mine, tasks), None)
        if mine is not None:
            mine.piece = convert(mine.file, mine.given)
        elif first.elsewhere is not None:
            wait([first.elsewhere])
    return first.piece


def _helpers(reader: Reader, size: int) -> int:
    """Return how many processes help: none where there is little to read, or where another Python could not know the reader.

    They are as many as there are processors: to store what they make takes the caller a small share of one, and were it to convert, too,
    its threads that talk to them would wait for it.
    """
    apart = reader.gather is None or reader.opens is not None
    known = all_readers().get(reader.name) is reader
    worth = size >= _WORTH_BYTES and _processors() > 1 and bool(sys.executable)
    return min(_processors(), _MOST) if worth and apart and known else 0


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Crew:
    """Processes that make pieces, each with a thread here that talks to it; ``ready`` once one has started."""

    def __init__(self, count: int, convert: Converter) -> None:
        self._about = convert.reader.name, convert.options, convert.door
        self._processes: list[subprocess.Popen[bytes]] = []
        self._own = threading.local()
        self.ready = False
        self._threads = ThreadPoolExecutor(max(count, 1), "reading", self._start)

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.kill()
        self._threads.shutdown()
        for process in self._processes:
            process.communicate()

    def started(self, file: str, given: Input) -> Future[Piece] | None:
        """Give a part to the process that is free next; None where it is records, which do not travel well."""
        return self._threads.submit(self._asked, (file, given)) if isinstance(given, Unopened) else None

    def _start(self) -> None:
        """Start this thread's process, and wait until it has imported what it needs."""
        known = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._own.process = None
        try:
            self._own.process = subprocess.Popen([sys.executable, "-c", _PROGRAM, str(Path(__file__).parent)], env=known, **pipes)
            self._processes.append(self._own.process)
            self._asked(self._about)
            self.ready = True
        except _LOST:
            return  # so will every part that is sent there be

    def _asked(self, question: Any) -> Any:
        process: subprocess.Popen[bytes] | None = self._own.process
        if process is None or process.stdin is None or process.stdout is None:
            raise OSError("no process, or one without pipes")
        pickle.dump(question, process.stdin, protocol=5)
        process.stdin.flush()
        return pickle.load(process.stdout)


def work() -> None:
    """Make pieces of what comes in, until nothing does: the whole life of a process of a crew."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    with os.fdopen(os.dup(1), "wb") as sink:
        os.dup2(2, 1)  # what a library may print is no answer
        name, options, door = pickle.load(sys.stdin.buffer)
        convert, answer = Converter(reader_named(name), options, door), None
        while True:
            pickle.dump(answer, sink, protocol=5)
            sink.flush()
            try:
                file, given = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            answer = convert(file, given)
