"""The recipe `features` without torch: a frozen network's features by onnxruntime, a last layer fitted to them."""
