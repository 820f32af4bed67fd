"""Descriptors of a catalogue's images and the words on them: resumed, and in shards for machines.

May import: dataset, output, progress; the server's engines, exact_search, index, models, reading,
storage, text, cores, errors; never torch.
Door: `ShardExtraction`, `FeatureExtraction`, `EngineChoice`, `open_shards`, `read_words`.
"""
