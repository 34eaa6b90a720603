"""Training code of tts-var: synthetic world, bitwise visual autoregressive generator, verifiers."""
