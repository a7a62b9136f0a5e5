"""After rollout: did production hold what the plan promised: ``verify``, ``bridge``, ``drift`` and ``gate``."""

from planner.followup.bridge import Bridge, bridge
from planner.followup.drift import Drift, drift
from planner.followup.gate import Gate, gate
from planner.followup.verify import Verification, verify

__all__ = ["Bridge", "Drift", "Gate", "Verification", "bridge", "drift", "gate", "verify"]
