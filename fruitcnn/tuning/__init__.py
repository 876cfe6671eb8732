"""Search for a recipe's settings: Optuna on SQL, with a trial for each training."""
