"""Training code of tts-var: synthetic world, bitwise visual autoregressive generator, verifiers."""

import os

# ONNX Runtime's telemetry is on by default: it writes into the home folder and calls a collector. It looks here once,
# when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
