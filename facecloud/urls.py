"""Every address of the product, room by room."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("faceapi.urls")),
    path("", include("console.urls")),
    path("ops/", include("console.ops.urls")),
    path("admin/", admin.site.urls),
]
