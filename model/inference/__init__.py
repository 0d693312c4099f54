"""What streaming inference (model/streaming.py) does once a frame, and once a window."""
