"""Reward models of the field as compact PyTorch modules under the original state-dict names, for export to ONNX."""
