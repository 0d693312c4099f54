"""What concerns the nodes of a Ray cluster: whether they can do a stage's work, what they say."""
