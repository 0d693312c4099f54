"""The steps of the stage enhance, and what goes from one to the next."""
