"""Face recognition on images: decoding, detection, quality and scores, without Django models or HTTP."""

import os

# Unless this variable is set, onnxruntime starts to send telemetry when it is imported. Setting it here is
# enough, because only this package imports onnxruntime.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
