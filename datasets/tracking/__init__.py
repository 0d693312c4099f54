"""Frames to face tracks: detection, cuts, tracks, and the square that is cut out of each frame."""
