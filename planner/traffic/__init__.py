"""Logs as they are on disk → one table of logical requests, with what could not be read set aside."""

from planner.traffic.apps import App, Apps
from planner.traffic.coverage import Coverage, coverage
from planner.traffic.handle import Traffic, TrafficWriter
from planner.traffic.join import join, sources
from planner.traffic.read import read
from planner.traffic.reader import Options, Reader
from planner.traffic.sampling import needs_every_row, sampled
from planner.traffic.sessions import Sessions, rebuilt, sessions_of

__all__ = [
    "App",
    "Apps",
    "Coverage",
    "Options",
    "Reader",
    "Sessions",
    "Traffic",
    "TrafficWriter",
    "coverage",
    "join",
    "needs_every_row",
    "read",
]
__all__ += ["rebuilt", "sampled", "sessions_of", "sources"]
