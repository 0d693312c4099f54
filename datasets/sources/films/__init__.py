"""How a film is read: what is decoded, when it is shown, what it looks like."""
