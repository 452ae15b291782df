"""The addresses of the pages."""

from django.contrib.auth.views import LogoutView, PasswordResetDoneView
from django.urls import path

from console.views import apps, calls, debug, docs, explorer, gallery, keys, overview, product, report
from console.views.account import customers, inbox, orders, preferences, wallet

urlpatterns = [
    path("", product.product, name="product"),
    path("language/", preferences.language, name="language"),
    path("theme/", preferences.theme, name="theme"),
    path("console/region/", preferences.region, name="region"),
    # Customers
    path("register/", customers.register, name="register"),
    path("login/", customers.LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("password/reset/", customers.PasswordResetView.as_view(), name="password_reset"),
    path(
        "password/reset/sent/",
        PasswordResetDoneView.as_view(template_name="accounts/password_reset_sent.html"),
        name="password_reset_sent",
    ),
    path(
        "password/reset/<uidb64>/<token>/",
        customers.PasswordResetConfirmView.as_view(),
        name="password_reset_confirm",
    ),
    path("console/settings/", customers.settings, name="settings"),
    path("console/email/", customers.confirm_address, name="email_confirm"),
    path("console/email/resend/", customers.resend, name="email_resend"),
    path("console/settings/password/", customers.PasswordChangeView.as_view(), name="password_change"),
    path("console/resubmit/", preferences.resubmit, name="resubmit"),
    # Console
    path("console/", overview.overview, name="console"),
    path("console/orders/new/", orders.new, name="order_new"),
    path("console/orders/quote/", orders.quote, name="order_quote"),
    path("console/orders/confirm/", orders.confirm, name="order_confirm"),
    path("console/orders/", orders.listing, name="orders"),
    path("console/orders/<slug:number>/", orders.detail, name="order"),
    path("console/orders/<slug:number>/pay/", orders.pay, name="order_pay"),
    path("console/orders/<slug:number>/cancel/", orders.cancel, name="order_cancel"),
    path("console/apps/", apps.listing, name="apps"),
    path("console/apps/<slug:app_id>/", apps.detail, name="app"),
    path("console/apps/<slug:app_id>/archive/", apps.archive, name="app_archive"),
    path("console/apps/<slug:app_id>/restore/", apps.restore, name="app_restore"),
    path("console/apps/<slug:app_id>/keys/", keys.keys, name="app_keys"),
    path("console/apps/<slug:app_id>/report/", report.report, name="app_report"),
    path("console/apps/<slug:app_id>/report.csv", report.export, name="app_report_csv"),
    path("console/apps/<slug:app_id>/calls/", calls.of_app, name="app_calls"),
    path("console/usage/", report.of_account, name="usage"),
    path("console/usage.csv", report.export_account, name="usage_csv"),
    path("console/calls/", calls.of_account, name="calls"),
    path("console/calls.csv", calls.export, name="calls_csv"),
    path("console/calls/<uuid:call_id>/", calls.detail, name="call"),
    path("console/apps/<slug:app_id>/gallery/", gallery.gallery, name="gallery"),
    path("console/apps/<slug:app_id>/gallery/<int:pk>/", gallery.group, name="gallery_group"),
    path("console/apps/<slug:app_id>/gallery/<int:pk>/enrol/", gallery.enrol, name="gallery_enrol"),
    path("console/apps/<slug:app_id>/persons/<int:pk>/", gallery.person, name="gallery_person"),
    path("console/apps/<slug:app_id>/persons/<int:pk>/export/", gallery.export, name="gallery_export"),
    path("console/apps/<slug:app_id>/trail/", gallery.audit, name="gallery_trail"),
    path("console/apps/<slug:app_id>/trail.csv", gallery.audit_csv, name="gallery_trail_csv"),
    path("console/wallet/", wallet.wallet, name="wallet"),
    path("console/wallet/statement.csv", wallet.statement, name="wallet_statement"),
    path("console/inbox/", inbox.inbox, name="inbox"),
    path("console/inbox/digests/", inbox.choose_digests, name="digests"),
    path("console/debug/", debug.debug, name="debug"),
    path("console/explorer/", explorer.explorer, name="explorer"),
    path("console/debug/sample.png", debug.sample, name="debug_sample"),
    # Documentation
    path("docs/", docs.index, name="docs"),
    path("docs/faq/", docs.faq, name="faq"),
    path("docs/samples/<str:file>", docs.download, name="sample"),
    path("docs/<slug:page>/", docs.page, name="docs_page"),
]
