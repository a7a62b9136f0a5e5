"""PLANNER_NO_SKIP=1: a machine that has everything may skip nothing.

One skip is excused, since the data cannot be fetched by a command: tests of real data where PLANNER_REAL_DATA is not set.
"""

from __future__ import annotations

import os

import pytest

# As the fixture real_data says it.
_NO_REAL_DATA = "no real data"


def unexcused(config: pytest.Config) -> list[str]:
    """Return the reasons of the skips that this run may not have."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("PLANNER_NO_SKIP") != "1" or reporter is None:
        return []
    reasons = [report.longrepr[2] for report in reporter.stats.get("skipped", [])]
    return [r for r in reasons if os.environ.get("PLANNER_REAL_DATA") or _NO_REAL_DATA not in r]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a green run with skips red."""
    if session.exitstatus == pytest.ExitCode.OK and unexcused(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say why the run is red."""
    reasons = unexcused(config)
    if reasons:
        terminalreporter.section("PLANNER_NO_SKIP=1", red=True)
        terminalreporter.line(f"{len(reasons)} skipped, so this run fails: {'; '.join(sorted(set(reasons)))}")
