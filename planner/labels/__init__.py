"""What the candidate models answered, and how good it was."""

from planner.labels.answers import Answers
from planner.labels.as_traffic import as_traffic
from planner.labels.batch import Batches, write_batches
from planner.labels.grade_noise import Noise, noise
from planner.labels.grading import Case, Grade, Graded, Grader, grade, rowwise
from planner.labels.ingest import ingest_labels
from planner.labels.match import match_models, one_to_one
from planner.labels.named import grader, read_references
from planner.labels.ran import Run
from planner.labels.raters import Agreement, agreement
from planner.labels.read import read_labels
from planner.labels.run import run_labels
from planner.labels.sample import sample_labels
from planner.labels.sampled import Sample
from planner.labels.table import Labels
from planner.labels.work import Work

__all__ = [
    "Agreement",
    "Answers",
    "Batches",
    "Case",
    "Grade",
    "Graded",
    "Grader",
    "Labels",
    "Noise",
    "Run",
    "Sample",
    "Work",
    "agreement",
    "as_traffic",
    "grade",
    "grader",
    "ingest_labels",
    "match_models",
    "noise",
    "one_to_one",
    "read_labels",
    "read_references",
    "rowwise",
    "run_labels",
    "sample_labels",
    "write_batches",
]
