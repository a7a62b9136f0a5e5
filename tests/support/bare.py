"""Decides requests as production would: with numpy and a tokenizer, nothing of the planning side importable.

Run as a script: ``bare.py BUNDLE``, one JSON request a line on stdin (``messages`` and ``metadata``), one model a line out.
"""

from __future__ import annotations

import importlib.abc
import json
import sys

HEAVY = {"pandas", "pyarrow", "sklearn", "scipy", "genai_prices", "yaml", "orjson", "matplotlib", "ipywidgets", "IPython", "typer", "tqdm"}


class _Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in HEAVY:
            raise ModuleNotFoundError(f"{name} is not part of a bare installation")


if __name__ == "__main__":
    sys.meta_path.insert(0, _Refuse())
    from planner.router import Router

    router = Router.load(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        decision = router.decide(request["messages"], request["metadata"], at=request["at"])
        sys.stdout.write(decision.model + "\n")
