"""One driver at a time on a run folder: lease.py takes it, holder.py says whose it is, swap.py
writes it atomically."""
