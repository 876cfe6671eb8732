"""Metrics with their uncertainty, calibration, plots."""
