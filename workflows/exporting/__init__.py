"""A trained network for other programs: its weights, a PyTorch program, ONNX, and what to know."""
