"""Training: labels in, a router beside every simple rule it has to beat out."""

from planner.training.explain import deciles, examples, looks_at, price_of_moving
from planner.training.judge import Judged, apgr, curve, judge
from planner.training.learn import Learned, design, learn, weighting
from planner.training.learning_curve import learning_curve
from planner.training.off_policy import OffPolicy, off_policy
from planner.training.problem import Problem, known_capabilities, pose
from planner.training.result import Training
from planner.training.ridge import ALPHAS, RidgeFit, fit_ridge
from planner.training.split import split, units
from planner.training.train import train

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
    "deciles",
    "design",
    "examples",
    "fit_ridge",
    "judge",
    "known_capabilities",
    "learn",
    "learning_curve",
    "looks_at",
    "off_policy",
    "pose",
    "price_of_moving",
    "split",
    "train",
    "units",
    "weighting",
]
