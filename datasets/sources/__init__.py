"""A source of frames: where films lie, how a collection is laid out, and what reads them."""
