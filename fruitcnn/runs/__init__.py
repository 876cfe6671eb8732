"""A training from its recipe to its finished folder, whichever way the network learns."""
