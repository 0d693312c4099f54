"""The ways that the benchmark of the stage enhance measures, and what they come to."""
