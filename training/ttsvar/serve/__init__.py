"""Serves an Infinity generator to searches over HTTP (protocol: ``docs/remote-sampler.md``)."""
