"""The bundle: a router as a checked directory of files, alone or in the folder that a gateway runs."""

from planner.bundle.export import export
from planner.bundle.production import Production, export_gateway

__all__ = ["Production", "export", "export_gateway"]
