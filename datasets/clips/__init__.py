"""Tracks and stills to clips: low frames around a sharp one, their motion and degradation."""
