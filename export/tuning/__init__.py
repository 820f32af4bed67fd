"""Settings tuned on a dataset: a cross-validated grid, compared poolings, measured augmentation.

May import: torch; dataset, ground_truth, descriptors, evaluation, index, models, output, progress,
text_index; the server's attributes, exact_search, index, models, reading, retrieval, text, cores,
errors.
Door: `tune`, `evaluate_augmentation`, `describe_dataset`.
"""
