"""`bin/screenshots`: take screenshots of every page, in both languages and themes and several widths.

Drives a Chromium over a running site, as visitor, demo customer and operator, and writes PNG files named
page-language-theme-width.png. It changes only the language and the theme, and orders nothing; the calls of
the debugger and the API explorer cost three units for each of the twelve combinations.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = {"wide": (1440, 900), "laptop": (1280, 800), "phone": (390, 844)}
PUBLIC = {
    "product": "/",
    "login": "/login/",
    "register": "/register/",
    "password-reset": "/password/reset/",
    "docs": "/docs/",
    "docs-signing": "/docs/signing/",
    "docs-detect": "/docs/face_detect/",
    "docs-analyse": "/docs/face_analyse/",
    "docs-compare": "/docs/face_compare/",
    "docs-search": "/docs/face_search/",
    "docs-errors": "/docs/errors/",
    "docs-model-card": "/docs/model-card/",
    "docs-samples": "/docs/samples/",
    "docs-faq": "/docs/faq/",
    "404": "/no-such-page/",
}
CONSOLE = {
    "overview": "/console/",
    "order-new": "/console/orders/new/",
    "order-confirm": "/console/orders/confirm/?name=门禁核验&description=一号楼门禁&api=face_compare"
    "&tier=ten_thousand&quantity=2&months=3",
    "orders": "/console/orders/",
    "apps": "/console/apps/",
    "usage": "/console/usage/",
    "calls": "/console/calls/",
    "wallet": "/console/wallet/",
    "inbox": "/console/inbox/",
    "settings": "/console/settings/",
    "password": "/console/settings/password/",
    "debug": "/console/debug/",
    "debug-result": "/console/debug/?api=face_analyse",
    "debug-compare": "/console/debug/?api=face_compare",
    "explorer": "/console/explorer/",
    "explorer-enrol": "/console/explorer/?api=face_person_add",
    "explorer-result": "/console/explorer/?api=face_analyse",
}
# The button to press before the screenshot, and the element that must appear.
PRESSED = {
    "debug-result": ("#debug-form button[type=submit]", "#result .mark-box"),
    "debug-compare": ("#debug-form button[type=submit]", "#result .pair"),
    "explorer-result": ("#explorer-form button[type=submit]", "#result .json"),
}


def chromium() -> str:
    """Return the Chromium on this machine: CHROMIUM, or the first of the usual names."""
    found = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "google-chrome"))), None
    )
    if not found:
        raise SystemExit("No Chromium found. Install one, or set CHROMIUM to its path.")
    return found


def launch(play: Playwright) -> Browser:
    return play.chromium.launch(executable_path=chromium(), args=FLAGS)


def context_of(browser: Browser, url: str, language: str, theme: str, width: str) -> BrowserContext:
    size = WIDTHS[width]
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, device_scale_factor=2 if width == "phone" else 1
    )
    host = urlsplit(url).hostname or ""
    names = {"django_language": language, "theme": theme}
    context.add_cookies([{"name": k, "value": v, "domain": host, "path": "/"} for k, v in names.items()])
    return context


def log_in(page: Page, url: str, user: str, password: str) -> None:
    page.goto(f"{url}/login/")
    page.fill("#id_username", user)
    page.fill("#id_password", password)
    page.click("main button")
    page.wait_for_url("**/console/")


def pages_of(page: Page, url: str) -> Iterator[tuple[str, str]]:
    """Yield the fixed pages, then those of the first App and the first order."""
    yield from CONSOLE.items()
    page.goto(f"{url}/console/apps/")
    app = page.locator("main tbody a").first
    if app.count():
        address = app.get_attribute("href") or ""
        yield from (("app", address), ("keys", f"{address}keys/"))
        yield from (("app-calls", f"{address}calls/?range=30d"), ("report", f"{address}report/?range=30d"))
        yield from gallery_pages(page, url, address)
    page.goto(f"{url}/console/orders/")
    order = page.locator("main tbody a").first
    if order.count():
        yield "order", order.get_attribute("href") or ""
    page.goto(f"{url}/console/orders/?state=pending")
    pending = page.locator("main tbody a").first
    if pending.count():
        yield "order-pay", f"{pending.get_attribute('href')}pay/"


def gallery_pages(page: Page, url: str, app: str) -> Iterator[tuple[str, str]]:
    """Yield an App's face gallery, with the first group and the first person."""
    yield from (("gallery", f"{app}gallery/"), ("gallery-trail", f"{app}trail/"))
    address = f"{app}gallery/"
    for name in ("gallery-group", "gallery-person"):
        page.goto(url + address)
        row = page.locator("main tbody th a").first
        if not row.count():
            return
        address = row.get_attribute("href") or ""
        yield name, address


def operator_pages(page: Page, url: str) -> Iterator[tuple[str, str]]:
    """Yield the pages in the operators' navigation."""
    page.goto(f"{url}/ops/")
    links = page.locator(".side a")
    for path in dict.fromkeys(
        links.nth(number).get_attribute("href") or "" for number in range(links.count())
    ):
        if path.startswith(("/ops/", "/admin/")):
            yield path.strip("/").replace("/", "-"), path


LOOKS = list(product(("zh-hans", "en"), ("light", "dark"), WIDTHS))
Login = tuple[str, str]  # user, password


def shoot(
    url: str, customer: Login, operator: Login | None, folder: Path, *, look: str, only: set[str]
) -> int:
    """Write the pictures into `folder` and return their number. `look` filters combinations by name."""
    folder.mkdir(parents=True, exist_ok=True)
    visits: list[tuple[Login | None, Callable[[Page, str], Iterator[tuple[str, str]]]]] = [
        (None, lambda _page, _url: iter(PUBLIC.items())),
        (customer, pages_of),
    ]
    if operator:
        visits.append((operator, operator_pages))
    shots = 0
    with sync_playwright() as play:
        browser = launch(play)
        for language, theme, width in LOOKS:
            name = f"{language}-{theme}-{width}"
            if look not in name:
                continue
            for login, pages in visits:
                context = context_of(browser, url, language, theme, width)
                page = context.new_page()
                if login:
                    log_in(page, url, *login)
                shots += sum(shot(page, url, folder, name, *one, only) for one in list(pages(page, url)))
                context.close()
        browser.close()
    return shots


def shot(page: Page, url: str, folder: Path, look: str, name: str, address: str, only: set[str]) -> bool:
    if only and name not in only:
        return False
    page.goto(url + address)
    if name in PRESSED:
        button, result = PRESSED[name]
        page.click(button)
        page.wait_for_selector(result)
        page.evaluate("scrollTo(0, 0)")  # otherwise the sticky header is in the middle of the picture
    page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=os.environ.get("FACECLOUD_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--user", default=os.environ.get("FACECLOUD_USER", "demo"))
    parser.add_argument("--password", default=os.environ.get("FACECLOUD_PASSWORD"))
    parser.add_argument("--folder", type=Path, default=Path("var/screenshots"))
    parser.add_argument("--look", default="", help="only looks with this in the name, such as en-dark")
    parser.add_argument("only", nargs="*", help="names of pages (default: all)")
    chosen = parser.parse_args()
    if not chosen.password:
        raise SystemExit(
            "No password: start the product (bin/start), which writes var/demo.env, or give --password."
        )
    operator = (
        os.environ.get("FACECLOUD_OPERATOR", ""),
        os.environ.get("FACECLOUD_OPERATOR_PASSWORD", ""),
    )
    count = shoot(
        chosen.url,
        (chosen.user, chosen.password),
        operator if all(operator) else None,
        chosen.folder,
        look=chosen.look,
        only=set(chosen.only),
    )
    sys.stdout.write(f"{count} pictures in {chosen.folder}\n")


if __name__ == "__main__":
    main()
