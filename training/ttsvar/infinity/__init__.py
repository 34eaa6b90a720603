"""Infinity-style bitwise visual autoregressive model: VAE, transformer, training, export."""
