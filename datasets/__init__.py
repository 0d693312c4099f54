"""Videos to face tracks to clips to Parquet shards, and the protocols that pair them."""
