"""CSV files of personal data: who took one is in the audit log."""

from collections.abc import Iterable, Iterator

from django.http import HttpRequest, HttpResponse

from accounts import audit
from accounts.models import User
from common.client_address import client_address
from common.postgresql.clock import now
from console.reports.downloads import csv_file

FILTER_LENGTH = 500  # of the query string that is kept


def personal_file(
    request: HttpRequest, by: User, name: str, rows: Iterable[Iterable[object]]
) -> HttpResponse:
    """Return the rows, heading first, as a CSV file, and write an audit entry with filter and row count."""
    sent = 0

    def counted() -> Iterator[Iterable[object]]:
        nonlocal sent
        for row in rows:
            yield row
            sent += 1

    response = csv_file(name, counted())
    audit.record(
        "export",
        by,
        by=by,
        reason=f"{name}.csv",
        at=now(),
        address=client_address(request.META),
        details={"filter": request.GET.urlencode()[:FILTER_LENGTH], "rows": max(0, sent - 1)},
    )
    return response
