"""The readers of catalogues and of ground truth, with Perfect-500K in its own form.

May import: the server's attributes, index, models, text, command_line and errors; never torch.
Door: `read_catalogue`, `read_ground_truth`, `check_measurable`, `Catalogue`, `Query`.
"""
