"""What comes in: catalogues, ground truth, Perfect-500K as it is handed out.

May import: output, progress, and the server's errors and preprocessing; never torch. Door:
`read_catalogue`, `read_ground_truth`.
"""
