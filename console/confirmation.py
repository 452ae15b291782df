"""A destructive act asks first: in a dialog with JavaScript (static/js/app.js), else on a page of its own."""

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise

from console.access import CustomerRequest, own_page

CONFIRMED = "confirmed"  # the field that both ways of asking add to the form


def unconfirmed(request: CustomerRequest, question: str | Promise, act: str | Promise) -> HttpResponse | None:
    """Return the page that shows `question`, with `act` on its button; None if the POST was confirmed."""
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
