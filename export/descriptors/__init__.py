"""Descriptors of a catalogue's images, in blocks that survive a kill and shards for many machines.

May import: dataset, output, progress, and the server's engines and formats; never torch. Door:
`ShardExtraction.run`.
"""
