"""Recorded incidents with their ground truth, and the instrumented shop that records them."""
