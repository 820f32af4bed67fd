"""The offline room: backbones to ONNX models, a catalogue to an index, and how good it is."""
