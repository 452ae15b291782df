"""Fixtures of the pages: Alice with an App for all APIs, Bob who must not see it, and a real Chromium."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Locator, Page, expect

from accounts.models import App, User
from billing.models import Api, Order
from common import valkey
from facecloud.celery import app as celery_app
from tests import purchases

PASSWORD = "ren-lian-2026"


@pytest.fixture(autouse=True)
def _no_mails_of_other_tests() -> None:
    """Reset the counts of console/middleware/throttle.py, which outlive a test's rollback."""
    for kind in ("mail-*", "throttle:*"):
        for key in valkey.client().scan_iter(kind):
            valkey.client().delete(key)


@pytest.fixture(autouse=True)
def _background_mail_at_once() -> Iterator[None]:
    """Run tasks synchronously, because these tests have no mail worker."""
    celery_app.conf.task_always_eager = celery_app.conf.task_eager_propagates = True
    yield
    celery_app.conf.task_always_eager = celery_app.conf.task_eager_propagates = False


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", "alice@example.org", PASSWORD, email_verified_at=timezone.now())


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", "bob@example.org", PASSWORD, email_verified_at=timezone.now())


@pytest.fixture
def as_alice(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def as_bob(bob: User) -> Client:
    client = Client()
    client.force_login(bob)
    return client


Place = Callable[..., Order]


@pytest.fixture
def place(now: datetime) -> Place:
    """Return a function that places an order for a new App, or for `app`."""

    def order(
        customer: User, api: str = Api.FACE_DETECT, *, app: App | None = None, name: str = "门禁"
    ) -> Order:
        return purchases.place(customer, api=api, app=app, name=name, quantity=2, at=now)

    return order


@pytest.fixture
def app(alice: User, place: Place, now: datetime) -> App:
    """Return an App of Alice with two thousand units per month of every API."""
    bought = purchases.pay(place(alice), now)
    for api in (Api.FACE_ANALYSE, Api.FACE_COMPARE):
        purchases.pay(place(alice, api, app=bought), now)
    return bought


# --- A real browser -----------------------------------------------------------------------


WAIT_MS = 60_000  # a maximum for a loaded machine; a ready page is not waited for


@dataclass
class Visitor:
    """A user of the site in a browser. Messages of the browser's console are collected and fail the test."""

    page: Page
    url: str
    console_messages: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.url + path)

    def press(self, name: str) -> None:
        self._click(self.page.locator("main").get_by_role("button", name=name, exact=True))

    def follow(self, name: str) -> None:
        self._click(self.page.locator("main").get_by_role("link", name=name, exact=True).first)

    def _click(self, target: Locator) -> None:
        """Click once the page's scripts have run: before, the click would do what it does without them."""
        target.wait_for()
        self.page.wait_for_load_state()
        target.click()

    def log_in(self, user: User) -> None:
        self.open("/login/")
        self.page.locator("#id_username").fill(user.username)
        self.page.locator("#id_password").fill(PASSWORD)
        self.page.locator("main form button").click()
        self.page.wait_for_url("**/console/")

    def axe(self) -> list[str]:
        """Return the serious and critical accessibility violations of the current page."""
        results = Axe().run(self.page).response["violations"]
        return [
            f"{self.page.url}: {one['id']}: {one['nodes'][0]['html'][:160]}"
            for one in results
            if one["impact"] in ("serious", "critical")
        ]


def visit(browser: Browser, site: str, **options: Any) -> Iterator[Visitor]:
    context = browser.new_context(viewport={"width": 1280, "height": 860}, **options)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    visitor = Visitor(page, site)
    page.on("pageerror", lambda error: visitor.console_messages.append(str(error)))
    page.on(
        "console", lambda line: visitor.console_messages.append(line.text) if line.type == "error" else None
    )
    yield visitor
    context.close()
    assert visitor.console_messages == []


@pytest.fixture
def visitor(browser: Browser, site: str, transactional_db: None) -> Iterator[Visitor]:
    """Yield a fresh desktop profile; check at the end that the console of the browser stayed empty."""
    yield from visit(browser, site)


@pytest.fixture
def phone(browser: Browser, site: str, transactional_db: None) -> Iterator[Visitor]:
    """Yield a fresh profile on a phone."""
    for one in visit(browser, site, is_mobile=True, has_touch=True):
        one.page.set_viewport_size({"width": 375, "height": 720})
        yield one
