"""The switches of the top bar (language, theme, region), and the form that was kept for after a login.

Each switch is a POST that redirects to the page it was sent from.
"""

from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import redirect, render, resolve_url
from django.views.decorators.http import require_GET, require_POST

from console import kept_forms
from console.access import CustomerRequest, customer, safe_next
from console.context import REGION_COOKIE, THEME_COOKIE, THEMES, regions
from console.middleware.language import keep, remember, supported


def back(request: HttpRequest) -> HttpResponseRedirect:
    """Redirect to the previous page, or to the product page if it is not on this site."""
    return HttpResponseRedirect(safe_next(request) or resolve_url("product"))


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    response = back(request)
    if choice := supported(request.POST.get("language")):
        remember(response, choice)
        if request.user.is_authenticated:
            request.user.language = choice
            request.user.save(update_fields=["language"])
    return response


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    response = back(request)
    if (choice := request.POST.get("theme", "")) in THEMES:
        keep(response, THEME_COOKIE, choice)
    return response


@require_POST
@customer
def region(request: CustomerRequest) -> HttpResponse:
    response = back(request)
    if (choice := request.POST.get("region", "")) in {one.code for one in regions(request)}:
        keep(response, REGION_COOKIE, choice)
        response["Location"] = with_region(response["Location"], choice)
    return response


def with_region(location: str, code: str) -> str:
    """Replace the region in the query of a page's address."""
    parts = urlsplit(location)
    query = QueryDict(parts.query, mutable=True)
    if "region" in query:
        query["region"] = code
    return parts._replace(query=query.urlencode()).geturl()


@require_GET
@customer
def resubmit(request: CustomerRequest) -> HttpResponse:
    """Offer the form that was sent after the session had ended (console/kept_forms.py)."""
    kept = kept_forms.take(request)
    if kept is None:
        return redirect("console")
    return render(request, "console/account/resubmit.html", {"kept": kept})
