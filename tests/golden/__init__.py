"""Descriptors of three photos under profile `lite`, as they were when `make golden` wrote them.

The parity tests compare PyTorch, onnxruntime and Triton with each other; these values also show a
change of timm, torch or onnxruntime that moves all of them together.
"""
