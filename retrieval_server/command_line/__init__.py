"""What the commands share: the names of image files.

The client imports this room too, so it needs the standard library and the client's packages only.

May import: nothing of ours.
Door: `image_files`.
"""
