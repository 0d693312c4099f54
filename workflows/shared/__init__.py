"""What several stages use: the command line, what a run holds, pictures, tables."""
