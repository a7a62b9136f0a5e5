"""What the candidate models answered, and how good it was."""

from planner.labels.read import read_labels
from planner.labels.table import Labels

__all__ = ["Labels", "read_labels"]
