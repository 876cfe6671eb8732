"""Which unlabelled pictures to label next, and a page to label them in: nothing heavier than onnxruntime."""
