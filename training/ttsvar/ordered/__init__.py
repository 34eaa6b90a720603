"""Codes in ordered groups: neighbours on anti-diagonals (NAR), or one after the other (raster)."""
