"""Janus and Janus-Pro in the folder layout that transformers.js loads, made tiny for tests."""
