"""A row offers one primary action; its name or title links to the page with everything else."""

import re
from datetime import timedelta

from django.test import Client
from django.utils import timezone

from accounts.models import App, User
from billing.models import Notice, NoticeKind
from billing.notices import due
from tests.console.conftest import Place


def hrefs(page: str, part: str) -> list[list[str]]:
    """Return the addresses of the links in each part of a page that the expression `part` finds."""
    return [re.findall('href="(.*?)"', found) for found in re.findall(part, page, re.DOTALL)]


def test_each_row_of_the_orders_has_one_action(as_alice: Client, alice: User, app: App, place: Place) -> None:
    pending = place(alice, app=app)
    page = as_alice.get("/console/orders/").content.decode()
    acts = hrefs(page, r'<td data-label="操作">(.*?)</td>')
    assert acts[0] == [f"/console/orders/{pending.number}/pay/"]
    assert all(len(act) == 1 and not act[0].endswith("pay/") for act in acts[1:])


def test_each_notice_has_one_action(as_alice: Client, alice: User, app: App, place: Place) -> None:
    """A notice about units offers the order; its title links to the report."""
    order = place(alice, app=app)
    at = timezone.now() + timedelta(hours=25)
    due.scan(at)
    notice = Notice.objects.filter(customer=alice, kind=NoticeKind.UNPAID).get()
    Notice.objects.create(
        customer=alice, kind=NoticeKind.QUOTA, app=app, api="face_detect", percent=80, key="q", created_at=at
    )
    assert notice.order == order
    pay = f"/console/orders/{order.number}/pay/"
    report, buy = (
        f"/console/apps/{app.app_id}/report/?api=face_detect",
        f"/console/orders/new/?app={app.app_id}&amp;api=face_detect",
    )
    for path in ("/console/", "/console/inbox/"):
        page = as_alice.get(path).content.decode()
        assert hrefs(page, '<div class="grow">(.*?)</li>') == [[report, buy], [pay, pay]], path
