"""VAREdit: an image and an instruction in, the edited image out, by next-scale prediction with the source as prefix."""
