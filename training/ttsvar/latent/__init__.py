"""Narrow latents over the embedded VAE's, which the families beside next-scale draw: 8x8 tokens, as vectors or as codes."""
