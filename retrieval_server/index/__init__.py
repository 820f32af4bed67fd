"""The index bundle: manifest, descriptors, reference image, and how a version becomes current.

May import: models, text, exact_search, storage, errors. Door: `open_index`, `publish`.
"""
