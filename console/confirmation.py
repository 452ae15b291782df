"""Confirmation of destructive actions: in a dialog (static/js/app.js), or without JavaScript on a page."""

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise

from console.access import CustomerRequest, own_page

CONFIRMED = "confirmed"  # the field that dialog and page add to the form


def unconfirmed(request: CustomerRequest, question: str | Promise, act: str | Promise) -> HttpResponse | None:
    """Return the page with `question` and a button labelled `act`; None if the POST was confirmed."""
    if CONFIRMED in request.POST:
        return None
    sent = [
        (name, value)
        for name, values in request.POST.lists()
        if name != "csrfmiddlewaretoken"
        for value in values
    ]
    context = {"question": question, "act": act, "sent": sent, "back": own_page(request)}
    return render(request, "console/confirm.html", context)
