"""Backbones with their pooling, eq. (1)-(2), as ONNX models in the model repository (section 2.1).

May import: progress and the server's models; one of the two rooms that may import torch. Door:
`export_profile`, `find_profile`.
"""
