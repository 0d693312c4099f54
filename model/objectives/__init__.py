"""What is trained: Objectives (infra/training/engine.py) whose `forward(batch)` takes a batch as
stored (uint8) and returns a dictionary of scalars, of which only "loss" carries a gradient.
"""
