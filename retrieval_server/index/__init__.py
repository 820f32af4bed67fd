"""The index bundle: manifest, descriptors, reference image, and how a version becomes current.

May import: attributes, exact_search, filters, models, storage, text, command_line, errors.
Door: `open_index`, `open_images`, `publish`, `fetch`, `IndexBundle`, `SearchedIndex`,
`check_reference`.
"""
