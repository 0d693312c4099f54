"""Streaming inference on a CPU: large convolutions as transforms, in memory that is used again."""
