"""HMAR on the embedded generator: next-scale prediction without history, and masked prediction within a scale.

Implemented from the description of Kumbong et al. 2025 alone; no code of the authors was used.
"""
