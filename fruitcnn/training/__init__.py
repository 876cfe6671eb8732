"""Learning with Keras, torch and Lightning: views, batches, epochs and what has to be remembered between them."""
