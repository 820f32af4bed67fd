"""What the commands share: safe streams, exit statuses, output files, addresses, image files.

The client imports this room too, so it needs the standard library and the client's packages only.

May import: nothing of ours.
Door: `run`, `one_line_outcome`, `output_file`, `write_output`, `addresses`, `image_files`.
"""
