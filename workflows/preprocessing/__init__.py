"""Stage preprocess: films to shards of clips, on Ray Data."""
