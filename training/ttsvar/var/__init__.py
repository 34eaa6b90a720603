"""VAR: class-conditional next-scale prediction over a residual vector quantiser (Tian et al., 2024)."""
