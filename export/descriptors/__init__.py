"""Descriptors of a catalogue's images: in blocks, to resume from, and in shards, for many machines.

May import: dataset, output, progress; the server's engines, exact_search, index, models, reading,
storage, cores, errors; never torch.
Door: `ShardExtraction`, `FeatureExtraction`, `EngineChoice`, `open_shards`, `read_words`.
"""
