"""Small anchor-free detectors for the synthetic world, exported in the YOLOS layout of transformers.js."""
