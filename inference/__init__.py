"""Face recognition on images: decoding, detection, quality and scores, without Django models or HTTP."""

import os

# onnxruntime starts to send telemetry on import unless this variable is set before. Setting it here is
# enough, because onnxruntime is imported from this package only.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
