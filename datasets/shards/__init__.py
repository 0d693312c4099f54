"""The Parquet files of clips: written, dealt, and read back in a shuffled order."""
