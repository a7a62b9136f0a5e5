"""Made-up labels whose truth is known: which words make the small model fail."""

from __future__ import annotations

import numpy as np
import pandas as pd

from planner.labels import Labels

EASY = ("greet", "thank", "spell", "list", "repeat", "name")
HARD = ("prove", "derive", "integrate", "refactor", "diagnose", "reconcile")
COMMON = ("please", "the", "my", "order", "about", "with", "number", "today", "report", "for")
QUALITY = {"large": (0.95, 0.9), "middle": (0.93, 0.6), "small": (0.92, 0.2)}
COST = {"large": 20.0, "middle": 5.0, "small": 1.0}


def made_labels(n: int = 400, models: tuple[str, ...] = ("large", "middle", "small"), seed: int = 0, noise: bool = True) -> Labels:
    """Return ``n`` requests in two apps; a hard word lowers P(right) as QUALITY says: (easy, hard) for each model."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n) < 0.4
    texts, apps = [], []
    for h in hard:
        words = [*rng.choice(COMMON, 6), *rng.choice(HARD if h else EASY, 2), str(rng.integers(10**6))]
        texts.append(" ".join(rng.permutation(words)))
        apps.append("maths" if rng.random() < (0.8 if h else 0.3) else "chat")
    ids = [f"r{i:05d}" for i in range(n)]
    messages = [f'[{{"role": "user", "content": "{t}"}}]' for t in texts]
    items = pd.DataFrame({"request_id": ids, "app": apps, "messages": messages})
    parts = []
    for model in models:
        p = np.where(hard, QUALITY[model][1], QUALITY[model][0])
        parts.append(pd.DataFrame({"request_id": ids, "model": model, "quality": (rng.random(n) < p).astype(float) if noise else p}))
    return Labels.of(items, pd.concat(parts, ignore_index=True))
