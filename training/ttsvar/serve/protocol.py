"""Name of the protocol (``docs/remote-sampler.md``), and where its calls are."""

PROTOCOL = "tts-var-sampler/2"
PREFIX = "/v2/"
