"""The parts of ``python -m benchmarks.routing_quality``: data, folds, metrics, rows and peers."""
