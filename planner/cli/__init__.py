"""The shell: ``planner VERB``; one file per verb, nothing imports it, and only ``main`` is public."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run ``planner`` with the arguments of the process and leave with 0, 2 (bad input, one sentence) or 130 (Ctrl-C)."""
    from planner.errors import PlannerError

    try:
        from planner.cli.app import app

        app(prog_name="planner")
    except PlannerError as error:
        _refuse(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "planner").partition(".")[0] == "planner":
            raise
        _refuse(f"This needs {error.name}, which is not installed. Run: pip install 'llm-traffic-planner[plan]'.")
    except OSError as error:
        _refuse(f"{error.filename or 'A file'}: {error.strerror or error}.")


def _refuse(sentence: str) -> None:
    from planner.cli.speech import spoken

    print(spoken(sentence), file=sys.stderr)
    sys.exit(2)
