"""The operators' addresses, under /ops/."""

from django.urls import path

from operations import home, prices, saved_views
from operations.actions import action_views, approval_views
from operations.monitoring import incident_views, live
from operations.reports import business, calls, customer_list, customer_overview, desk_tables, usage

urlpatterns = [
    path("", home.page, name="ops"),
    path("digests/", home.choose_digests, name="ops_digests"),
    path("usage/", usage.page, name="ops_usage"),
    path("usage/<slug:key>.csv", usage.export, name="ops_usage_csv"),
    path("business/", business.page, name="ops_business"),
    path("business/<slug:key>.csv", business.export, name="ops_business_csv"),
    path("calls/", calls.page, name="ops_calls"),
    path("calls/calls.csv", calls.export, name="ops_calls_csv"),
    path("views/", saved_views.save, name="ops_view_save"),
    path("views/<int:pk>/delete/", saved_views.delete, name="ops_view_delete"),
    path("prices/", prices.page, name="ops_prices"),
    path("prices/<int:pk>/cancel/", prices.cancel, name="ops_price_cancel"),
    path("live/", live.page, name="ops_live"),
    path("incidents/", incident_views.page, name="ops_incidents"),
    path("incidents/<slug:key>.csv", incident_views.export, name="ops_incidents_csv"),
    path("customers/", customer_list.page, name="ops_customers"),
    path("customers/customers.csv", customer_list.export, name="ops_customers_csv"),
    path("desk/<slug:key>.csv", desk_tables.export, name="ops_desk_csv"),
    path("desk/", customer_overview.page, name="ops_desk"),
    path("approvals/", approval_views.page, name="ops_approvals"),
    path("approvals/<int:pk>/", approval_views.decide, name="ops_decide"),
    path("acts/<slug:name>/", action_views.act, name="ops_make"),
    path("acts/<slug:name>/<int:pk>/", action_views.act, name="ops_act"),
]
