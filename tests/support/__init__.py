"""Machinery of the tests that is not about one folder of planner."""
