"""The URLs of the product, by room."""

from django.contrib import admin
from django.urls import include, path

from operations.monitoring.metrics import metrics

urlpatterns = [
    path("", include("faceapi.urls")),
    path("", include("console.urls")),
    path("ops/", include("operations.urls")),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
]
handler500 = "console.views.errors.server_error"
