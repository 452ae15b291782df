"""Images in, faces out: decoding, models, quality and scores. Knows no Django model, no money, no HTTP."""

import os

# onnxruntime starts to send telemetry when it is imported, and only this variable, set before, prevents it.
# Every import of it goes through this package.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
