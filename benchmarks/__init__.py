"""Measurements against the best alternatives; each module runs with ``python -m``."""
