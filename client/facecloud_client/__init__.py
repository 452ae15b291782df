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
from facecloud_client.gallery import Enrolment, FoundFace, Gallery, Match
from facecloud_client.outcomes import Done, Outcome, run
from facecloud_client.request.sources import Source, source
from facecloud_client.results import Box, CompareResult, Face, FaceResult

__all__ = [
    "ApiError",
    "AuthenticationError",
    "Box",
    "CompareResult",
    "ConfigError",
    "Done",
    "Enrolment",
    "Face",
    "FaceClient",
    "FaceCloudError",
    "FaceResult",
    "FoundFace",
    "Gallery",
    "InputError",
    "Match",
    "Outcome",
    "QuotaError",
    "ServiceError",
    "Source",
    "TransportError",
    "run",
    "source",
]
