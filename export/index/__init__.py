"""The build of one sealed index from a catalogue: descriptors, search levels, texts, manifest.

May import: dataset, descriptors, models, output, progress, text_index; the server's attributes,
exact_search, index, models, storage, text, changes, cores, errors, version; never torch.
Door: `IndexBuild`, `BuiltIndex`, `compact`.
"""
