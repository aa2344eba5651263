"""The ONNX twin of a fitted pipeline: its export, and converters that keep what it computes."""
