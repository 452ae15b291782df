"""The operators' addresses, under /ops/."""

from django.urls import path

from operations import action_views, approval_views, home
from operations.monitoring import incident_views, live
from operations.reports import business, customer_overview, usage

urlpatterns = [
    path("", home.page, name="ops"),
    path("usage/", usage.page, name="ops_usage"),
    path("usage/<slug:key>.csv", usage.export, name="ops_usage_csv"),
    path("business/", business.page, name="ops_business"),
    path("business/<slug:key>.csv", business.export, name="ops_business_csv"),
    path("live/", live.page, name="ops_live"),
    path("incidents/", incident_views.page, name="ops_incidents"),
    path("incidents/<slug:key>.csv", incident_views.export, name="ops_incidents_csv"),
    path("desk/", customer_overview.page, name="ops_desk"),
    path("approvals/", approval_views.page, name="ops_approvals"),
    path("approvals/<int:pk>/", approval_views.decide, name="ops_decide"),
    path("acts/<slug:name>/", action_views.act, name="ops_make"),
    path("acts/<slug:name>/<int:pk>/", action_views.act, name="ops_act"),
]
