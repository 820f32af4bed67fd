"""What the commands share: streams, exit status, output files, addresses, proxies, images.

The client imports this room too, so it needs the standard library and the client's packages only.

May import: nothing of ours.
Door: `run`, `one_line_outcome`, `output_file`, `write_output`, `addresses`, `proxies`,
    `image_files`.
"""
