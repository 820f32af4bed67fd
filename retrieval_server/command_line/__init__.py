"""What the commands share: names of image files, addresses that no proxy is asked for.

The client imports this room too, so it needs the standard library and the client's packages only.

May import: nothing of ours.
Door: `image_files`, `proxies`.
"""
