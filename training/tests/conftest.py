"""Imported before every test module: the package silences ONNX Runtime before any of them loads it."""

import ttsvar  # noqa: F401
