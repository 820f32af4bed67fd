"""What offline and online must agree on: profiles, preprocessing, the model repository.

May import: storage, errors. Door: `Profile`, `read_image`, `ModelRepository`.
"""
