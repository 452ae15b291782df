"""Client of the facecloud face-recognition API.

from facecloud_client import FaceClient

client = FaceClient(app_key, secret, "http://127.0.0.1:8000")
for result in client.detect(["photo.jpg"]):
    print(result.faces)
"""

from facecloud_client.client import FaceClient
from facecloud_client.errors import (
    ApiError,
    AuthenticationError,
    ConfigError,
    FaceCloudError,
    InputError,
    QuotaError,
    ServiceError,
    TransportError,
)
from facecloud_client.results import Box, CompareResult, Face, FaceResult

__all__ = [
    "ApiError",
    "AuthenticationError",
    "Box",
    "CompareResult",
    "ConfigError",
    "Face",
    "FaceClient",
    "FaceCloudError",
    "FaceResult",
    "InputError",
    "QuotaError",
    "ServiceError",
    "TransportError",
]
