"""What finds faces: published.py fetches YuNet's model, finding.py takes what the setting asks for,
chosen.py keeps a run at what it began with."""
