"""Backbones with their pooling, eq. (1)-(2), as ONNX models in the model repository (section 2.1).

May import: torch; the server's models, storage, errors.
Door: `export_profile`, `find_profile`, `PoolingChoice`.
"""
