"""After rollout: did production hold what the plan promised? ``verify``, ``bridge``, ``drift`` and ``gate``."""
