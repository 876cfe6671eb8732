"""What a classifier is worth: metrics with their uncertainty, refusals, suspicious labels; calibration and plots."""
