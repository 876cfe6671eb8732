"""What a model is worth, as one HTML page that needs nothing else."""

from fruitcnn.report.page import write_report, write_run_report

__all__ = ["write_report", "write_run_report"]
