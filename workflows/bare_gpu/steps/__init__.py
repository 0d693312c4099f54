"""What `gpu.py` does, a step a file."""
