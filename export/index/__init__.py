"""From a catalogue to one sealed index: descriptors, search levels, texts, manifest.

May import: descriptors, text_index, dataset, output, progress, and the server's formats; never
torch. Door: `IndexBuild.run`.
"""
