"""Flow by cells: each drawn whole by a solver, given the cells before it (xAR: noisy context; ACDiT: clean context)."""
