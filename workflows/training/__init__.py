"""Stages recogniser, pretrain and train: a training as data, and what runs it."""
