"""What a model is worth, as one HTML page that needs nothing else."""
