"""Stage enhance: batch inference over a collection of films."""
