"""What is written of a restored film, each kind by a class of its own; which, `enhance.outputs`
says."""
