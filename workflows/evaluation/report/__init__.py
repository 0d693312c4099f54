"""The report of a run: one page, its tables, plots and sheets."""
