"""Helpers shared by the trainers: optimisers, weight averaging, checkpoints, logs."""
