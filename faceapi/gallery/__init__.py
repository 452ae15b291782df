"""The face gallery over the signed API: the bodies of its requests, its views, its part of the OpenAPI."""
