"""Clips frame by frame: FAR (next frame by flow matching) and Epona (plan first, frames second)."""
