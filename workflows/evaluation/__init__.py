"""Stage evaluate: every method measured on test people; and how well P aligns."""
