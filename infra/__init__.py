"""What a run needs from the outside world: settings, storage, runs, Ray, the training loop."""
