"""Make ``off_policy_golden.json``: small fixed inputs, and what Open Bandit Pipeline estimates from them.

In: nothing. Out: the file beside this script. sb-obp needs torch and is no dependency of planner, so this runs once, in an
environment of its own: ``pip install sb-obp`` there, then ``python tests/data/off_policy_golden.py``.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from obp.ope import DirectMethod, DoublyRobust, InverseProbabilityWeighting, SelfNormalizedInverseProbabilityWeighting

N, K = 200, 3
OUT = Path(__file__).with_suffix(".json")


def main() -> None:
    """Draw the inputs, rounded so that JSON holds them exactly, and write them with the estimates."""
    rng = np.random.default_rng(20261124)
    propensity = np.round(rng.dirichlet([2, 1, 0.7], N) * 0.94 + 0.02, 6)
    propensity[:, 0] = np.round(1 - propensity[:, 1:].sum(1), 6)
    target = np.round(rng.dirichlet([0.6, 1, 1], N), 6)
    target[:, 0] = np.round(1 - target[:, 1:].sum(1), 6)
    target[::4] = np.eye(K)[rng.integers(0, K, len(target[::4]))]
    action = (rng.random(N)[:, None] > propensity.cumsum(1)).sum(1).clip(max=K - 1)
    predicted = np.round(rng.uniform(0.2, 0.9, (N, K)), 6)
    reward = np.round((rng.random(N) < predicted[np.arange(N), action]) * rng.uniform(0.7, 1, N), 6)
    pscore = propensity[np.arange(N), action]
    logged = {"reward": reward, "action": action, "pscore": pscore, "position": np.zeros(N, int)}
    dist, model = target[:, :, None], predicted[:, :, None]
    estimates = {
        "IPS": InverseProbabilityWeighting().estimate_policy_value(action_dist=dist, **logged),
        "SNIPS": SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(action_dist=dist, **logged),
        "DM": DirectMethod().estimate_policy_value(action_dist=dist, estimated_rewards_by_reg_model=model),
        "DR": DoublyRobust().estimate_policy_value(action_dist=dist, estimated_rewards_by_reg_model=model, **logged),
    }
    inputs = {"reward": reward, "action": action, "propensity": propensity, "target": target, "predicted": predicted}
    written = {
        "made_by": f"sb-obp {version('sb-obp')}, torch {version('torch')}: tests/data/off_policy_golden.py",
        "estimates": {k: float(v) for k, v in estimates.items()},
        **{k: v.tolist() for k, v in inputs.items()},
    }
    OUT.write_text(json.dumps(written) + "\n", "utf-8")


if __name__ == "__main__":
    main()
