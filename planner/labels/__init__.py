"""What the candidate models answered, and how good it was."""

from planner.labels.answers import Answers
from planner.labels.as_traffic import as_traffic
from planner.labels.match import match_models, one_to_one
from planner.labels.read import read_labels
from planner.labels.sample import sample_labels
from planner.labels.sampled import Sample
from planner.labels.table import Labels
from planner.labels.work import Work

__all__ = ["Answers", "Labels", "Sample", "Work", "as_traffic", "match_models", "one_to_one", "read_labels", "sample_labels"]
