"""Training: labels in, a router beside every simple rule it has to beat out."""

from planner.training.judge import Judged, apgr, curve, judge
from planner.training.learn import Learned, design, learn, weighting
from planner.training.off_policy import OffPolicy, off_policy
from planner.training.problem import Problem, known_capabilities, pose
from planner.training.ridge import ALPHAS, RidgeFit, fit_ridge
from planner.training.split import split, units
from planner.training.train import Training, train

__all__ = [
    "ALPHAS",
    "Judged",
    "Learned",
    "OffPolicy",
    "Problem",
    "RidgeFit",
    "Training",
    "apgr",
    "curve",
    "design",
    "fit_ridge",
    "judge",
    "known_capabilities",
    "learn",
    "off_policy",
    "pose",
    "split",
    "train",
    "units",
    "weighting",
]
