"""The readers of catalogues and of ground truth, with Perfect-500K in its own form.

May import: output, progress, and the server's errors and preprocessing; never torch. Door:
`read_catalogue`, `read_ground_truth`.
"""
