"""Profiles, preprocessing and the model repository, as the builder and the server both use them.

May import: storage, command_line, errors.
Door: `Profile`, `read_image`, `ModelRepository`.
"""
