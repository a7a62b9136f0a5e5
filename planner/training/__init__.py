"""Training: labels in, a router beside every simple rule it has to beat out."""

from planner.training.before import Before, Stake, before, stakes
from planner.training.by_app import AppGuarantees, certify_apps
from planner.training.calibration import calibration
from planner.training.certificate import Guarantee
from planner.training.explain import deciles, examples, first_move, looks_at
from planner.training.guarantee import certify, sequence
from planner.training.harm import Harm, harm, requests_per_month
from planner.training.judge import Judged, apgr, curve, judge
from planner.training.learn import Learned, design, learn, weighting
from planner.training.learning_curve import learning_curve
from planner.training.off_policy import OffPolicy, off_policy
from planner.training.problem import Problem, known_capabilities, pose
from planner.training.rectified import Corrected, correct, human_quality
from planner.training.result import Training
from planner.training.ridge import ALPHAS, RidgeFit, fit_ridge
from planner.training.split import split, units
from planner.training.train import train

__all__ = [
    "ALPHAS",
    "AppGuarantees",
    "Before",
    "Corrected",
    "Guarantee",
    "Harm",
    "Judged",
    "Learned",
    "OffPolicy",
    "Problem",
    "RidgeFit",
    "Stake",
    "Training",
    "apgr",
    "before",
    "calibration",
    "certify",
    "certify_apps",
    "correct",
    "curve",
    "deciles",
    "design",
    "examples",
    "first_move",
    "fit_ridge",
    "harm",
    "human_quality",
    "judge",
    "known_capabilities",
    "learn",
    "learning_curve",
    "looks_at",
    "off_policy",
    "pose",
    "requests_per_month",
    "sequence",
    "split",
    "stakes",
    "train",
    "units",
    "weighting",
]
