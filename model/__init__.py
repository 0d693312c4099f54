"""The paper's network in pure PyTorch: no Ray, no files but weights."""
