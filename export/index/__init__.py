"""The build of one sealed index from a catalogue: descriptors, search levels, texts, manifest.

May import: descriptors, text_index, dataset, output, progress, and the server's formats; never
torch. Door: `IndexBuild.run`.
"""
