"""Engines compute descriptors: onnxruntime in this process (``embedded``), or Triton (``triton``).

An engine is the one seam between the search and the models. The server and the index build use the
same engines on the same model repository, so query and database descriptors come from the same
code.

May import: models, access, observability, command_line, errors.
Door: `create_engine`, `Engine`, `TritonConnection`.
"""
