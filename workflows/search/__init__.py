"""Stage tune: a search over frame counts and perceptual weights, on Ray Tune."""
