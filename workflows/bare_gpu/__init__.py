"""A GPU machine without a network: what travels there, what is run there, what comes back."""
