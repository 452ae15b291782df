"""The addresses of the signed API. The manual prints three prefixes; all of them answer."""

from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularAPIView

from faceapi import health, views
from faceapi.authentication.signing import PREFIXES

APIS = {
    "face_detect": views.FaceDetectView,
    "face_analyse": views.FaceAnalyseView,
    "face_compare": views.FaceCompareView,
}

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    *(
        path(f"{prefix.lstrip('/')}{name}.json", view.as_view(), name=name)
        for prefix in PREFIXES
        for name, view in APIS.items()
    ),
]
