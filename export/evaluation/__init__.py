"""Evaluation of rankings: mAP@7 with intervals and tests, as table, Markdown or HTML (section 3).

May import: dataset, descriptors, text_index, output, progress, and the server's search; never
torch. Door: `evaluate`, `predict`.
"""
