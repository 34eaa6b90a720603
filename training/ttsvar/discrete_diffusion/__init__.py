"""VQ-DDM's family: discrete diffusion of a whole canvas of codes (uniform kernel)."""
