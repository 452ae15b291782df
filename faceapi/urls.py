"""The addresses of the signed API. The manual prints three prefixes; all of them are served."""

from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularAPIView

from faceapi import health, views
from faceapi.authentication.signing import PREFIXES
from faceapi.compare_view import FaceCompareView
from faceapi.gallery import views as gallery_views

APIS = {
    "face_detect": views.FaceDetectView,
    "face_analyse": views.FaceAnalyseView,
    "face_compare": FaceCompareView,
    "face_search": gallery_views.FaceSearchView,
    "face_group_add": gallery_views.GroupAddView,
    "face_group_list": gallery_views.GroupListView,
    "face_group_delete": gallery_views.GroupDeleteView,
    "face_person_add": gallery_views.PersonAddView,
    "face_person_list": gallery_views.PersonListView,
    "face_person_delete": gallery_views.PersonDeleteView,
}

# Every address of a call, as in a request's PATH_INFO.
ADDRESSES = {f"{prefix}{name}.json": view for prefix in PREFIXES for name, view in APIS.items()}

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    *(
        path(address.lstrip("/"), view.as_view(), name=address.rpartition("/")[2].removesuffix(".json"))
        for address, view in ADDRESSES.items()
    ),
]
