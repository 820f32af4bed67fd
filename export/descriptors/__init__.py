"""Descriptors of a catalogue's images, in blocks that a kill does not lose and shards for machines.

May import: dataset, output, progress, and the server's engines and formats; never torch. Door:
`ShardExtraction.run`.
"""
