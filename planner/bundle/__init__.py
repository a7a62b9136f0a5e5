"""The bundle: a router as a checked directory of files."""

from planner.bundle.export import export

__all__ = ["export"]
