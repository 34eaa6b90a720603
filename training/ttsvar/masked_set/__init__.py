"""Masked sets of vectors with a diffusion head (MAR)."""
