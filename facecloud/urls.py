"""Every address of the product, room by room."""

from django.contrib import admin
from django.urls import include, path

from console.ops.metrics import metrics

urlpatterns = [
    path("", include("faceapi.urls")),
    path("", include("console.urls")),
    path("ops/", include("console.ops.urls")),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
]
handler500 = "console.views.errors.server_error"
