"""Ground truths: the true matches of query photos, checked against a catalogue or an index.

May import: dataset; the server's attributes, index, models, text and errors; never torch.
Door: `read_ground_truth`, `true_matches`, `check_measurable`, `folds_of`, `GroundTruth`, `Query`.
"""
