"""A destructive act asks first: in a dialog with JavaScript (static/js/app.js), else on a page of its own."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise

from console.context import CustomerRequest, own_page

P = ParamSpec("P")
View = Callable[Concatenate[CustomerRequest, P], HttpResponse]
CONFIRMED = "confirmed"  # the field that both ways of asking add to the form


def ask_first(question: str | Promise, act: str | Promise) -> Callable[[View[P]], View[P]]:
    """Decorate a view so that a POST that was not confirmed shows `question`, with `act` on its button."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def asked(request: CustomerRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if request.method != "POST" or CONFIRMED in request.POST:
                return view(request, *args, **kwargs)
            sent = [
                (name, value)
                for name, values in request.POST.lists()
                if name != "csrfmiddlewaretoken"
                for value in values
            ]
            context = {"question": question, "act": act, "sent": sent, "back": own_page(request)}
            return render(request, "console/confirm.html", context)

        return asked

    return decorate
