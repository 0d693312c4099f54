"""The layers of the network, and how they start."""
