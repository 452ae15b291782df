"""Face recognition on images: decoding, detection, quality and scores, without Django models or HTTP."""

import os

# onnxruntime starts sending telemetry on import; only this variable, set beforehand, prevents it. It is
# enough to set it here because onnxruntime is imported from this package only.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
