"""Which settings fit a dataset: a grid by cross-validation, poolings compared, augmentation.

May import: evaluation, descriptors, text_index, dataset, models; poolings are compared here, so it
may import torch. Door: `tune`, `evaluate_augmentation`.
"""
