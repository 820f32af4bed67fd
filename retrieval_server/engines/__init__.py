"""Engines compute descriptors: onnxruntime (``embedded``), OpenVINO (``openvino``), or Triton.

The first two run in this process, in float32 and in bfloat16. An engine is the one seam between
the search and the models. The server and the index build use the same engines on the same model
repository, so query and database descriptors come from the same code.

May import: models, access, observability, command_line, errors.
Door: `create_engine`, `Engine`, `TritonConnection`.
"""
