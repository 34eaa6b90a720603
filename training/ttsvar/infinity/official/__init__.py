"""Official Infinity checkpoints: reading them, exporting them to ONNX model folders, and proving the result."""
