"""The training loop, the engines that make its steps, and its checkpoints; no Ray."""
