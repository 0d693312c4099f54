"""What is trained: an objective holds the module as `network`; `forward(batch)` takes a batch as
stored (uint8) and returns a dictionary of scalars, of which only "loss" carries a gradient.
"""
