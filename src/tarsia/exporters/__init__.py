"""A trained network as one ONNX file, in float32 or 8 bits, and the gate that lets it pass.  Needs torch."""
