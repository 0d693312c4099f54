"""Drawn people in drawn films, where no footage is given."""
