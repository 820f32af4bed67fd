"""Streams of searches: many requests in one call, each answered when it is ready.

May import: errors; the server's command_line and v1.
Door: `OpenStreams`, `StreamLostError`, `BlockingStream`, `AsyncStream`.
"""
