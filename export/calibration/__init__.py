"""The calibration of an index: from a ground truth to probabilities, cross-validated and published.

May import: ground_truth, descriptors, evaluation, index, progress; the server's exact_search,
index, models, reading, retrieval, text, errors; never torch.
Door: `calibrate`, `publish_calibration`, `calibration_sections`, `calibration_page`.
"""
