"""Logs as they are on disk → one table of logical requests, with what could not be read set aside."""

from planner.traffic.apps import App, Apps
from planner.traffic.coverage import Coverage, coverage
from planner.traffic.handle import Traffic, TrafficWriter
from planner.traffic.read import read
from planner.traffic.reader import Options, Reader

__all__ = ["App", "Apps", "Coverage", "Options", "Reader", "Traffic", "TrafficWriter", "coverage", "read"]
