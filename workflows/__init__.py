"""Entry points, one a stage, and full.py that runs them in order; the only room that composes."""
