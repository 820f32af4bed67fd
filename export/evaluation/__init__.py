"""Evaluation of rankings: mAP@7 with intervals and tests, as table, Markdown or HTML (section 3).

May import: dataset, ground_truth, descriptors, progress; the server's attributes, command_line,
exact_search, filters, index, models, reading, retrieval, text, errors; never torch.
Door: `evaluate`, `predict`, and for the tuning `sections`, `search_notes` and `significance`.
"""
