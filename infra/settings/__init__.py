"""Settings of a run: one group a stage, and how they are read from files and the command line."""
