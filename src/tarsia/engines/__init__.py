"""How a network is run: torch, ONNX Runtime or OpenVINO behind one protocol; torch is loaded only for its own files."""
