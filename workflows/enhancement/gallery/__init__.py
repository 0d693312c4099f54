"""The page that shows all tracks of a restored collection."""
