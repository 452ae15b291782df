"""Model files: registry, download, conversion and onnxruntime sessions."""
