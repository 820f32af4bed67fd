"""Descriptors of a catalogue's images: in blocks, to resume from, and in shards, for many machines.

May import: dataset, output, progress, and the server's engines and formats; never torch. Door:
`ShardExtraction.run`.
"""
