"""Who is tested against whom: splits, published pair lists, and pairs that are drawn."""
