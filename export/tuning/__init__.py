"""Settings tuned on a dataset: a cross-validated grid, compared poolings, measured augmentation.

May import: evaluation, descriptors, text_index, dataset, models, and torch, with which it compares
poolings. Door: `tune`, `evaluate_augmentation`.
"""
