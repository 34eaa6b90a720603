"""Serves a generator to searches over HTTP (protocol: ``docs/remote-sampler.md``); of which family, ``loop.py`` hides."""
