"""`bin/screenshots`: take screenshots of every page, in both languages and themes and several widths.

Drives a Chromium over a running site, as visitor, demo customer and operator, and writes PNG files named
page-language-theme-width.png. It changes only the language and the theme, and orders nothing; the calls of
the debugger and the API explorer cost three units for each of the twelve combinations.

With --faces the face gallery has a group with the sample photograph, and shows pictures that were refused:
the group is created for each combination and deleted afterwards, which costs five units of face_search.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from itertools import product
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

from PIL import Image
from playwright.sync_api import (
    Browser,
    BrowserContext,
    FilePayload,
    Page,
    Playwright,
    expect,
    sync_playwright,
)

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
GROUP = "screenshots"  # the id of the group that --faces creates


def app_that_ordered(page: Page, url: str, api: str) -> str:
    """Return the id of the newest App with a package for the API. Raises SystemExit if there is none."""
    page.goto(f"{url}/console/apps/?api={api}&in=all")
    app = page.locator("main tbody a").first
    if not app.count():
        raise SystemExit(f"No App has ordered {api}: order it, or name the pages to take.")
    return (app.get_attribute("href") or "").strip("/").rpartition("/")[2]


def press(page: Page, button: str, result: str) -> None:
    """Press the button and wait for the result. Raises SystemExit if the page shows an error instead."""
    page.click(button)
    error = page.locator("#result .alert-bad:visible, [data-request-failed]:visible")
    page.locator(result).or_(error).first.wait_for()
    if error.count():
        raise SystemExit(f"{page.url}: {error.first.inner_text()}")


def enrol(page: Page, names: tuple[str, ...], others: tuple[FilePayload, ...] = ()) -> None:
    """Enrol the sample photograph under these file names, and other pictures, on the page of a group."""
    sample = page.request.get(urljoin(page.url, "/console/debug/sample.png")).body()
    files = [*(FilePayload(name=name, mimeType="image/png", buffer=sample) for name in names), *others]
    page.set_input_files("#files", files)
    page.fill("#reference", "HR-12")
    page.click("#enrol-go")
    expect(page.locator("#rows tr")).to_have_count(len(files), timeout=30_000)


def wall() -> FilePayload:
    """Return a picture without a face."""
    out = BytesIO()
    Image.new("RGB", (320, 240), "grey").save(out, "PNG")
    return FilePayload(name="wall.png", mimeType="image/png", buffer=out.getvalue())


# What to do on a page before its screenshot.
ACTS: dict[str, Callable[[Page], None]] = {
    "debug-result": partial(press, button="#debug-form button[type=submit]", result="#result .mark-box"),
    "debug-compare": partial(press, button="#debug-form button[type=submit]", result="#result .pair"),
    "explorer-result": partial(press, button="#explorer-form button[type=submit]", result="#result .json"),
    "gallery-search": partial(press, button="#debug-form button[type=submit]", result="#result .mark-box"),
    # Accepted, like another person, without an id, without a face.
    "gallery-enrolled": partial(enrol, names=("zhangsan_2.png", "lisi.png", "张三.png"), others=(wall(),)),
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


def pages_of(page: Page, url: str, *, faces: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the fixed pages, then those of the first App and the first order.

    The caller takes each screenshot before it asks for the next page.
    """
    yield from CONSOLE.items()
    page.goto(f"{url}/console/apps/")
    app = page.locator("main tbody a").first
    if app.count():
        address = app.get_attribute("href") or ""
        yield from (("app", address), ("keys", f"{address}keys/"))
        yield from (("app-calls", f"{address}calls/?range=30d"), ("report", f"{address}report/?range=30d"))
        group = new_group(page, url, address) if faces else ""
        yield from gallery_pages(page, url, address, group)
        if group:
            remove_group(page, url, group)
    page.goto(f"{url}/console/orders/")
    order = page.locator("main tbody a").first
    if order.count():
        yield "order", order.get_attribute("href") or ""
    page.goto(f"{url}/console/orders/?state=pending")
    pending = page.locator("main tbody a").first
    if pending.count():
        yield "order-pay", f"{pending.get_attribute('href')}pay/"


def new_group(page: Page, url: str, app: str) -> str:
    """Create a group with the sample photograph, and return its path; "" if the gallery is switched off."""
    page.goto(f"{url}{app}gallery/")
    left_over = page.locator(f"main tbody th a:text-is('{GROUP}')")
    if left_over.count():
        remove_group(page, url, left_over.get_attribute("href") or "")
    if not page.locator("#id_group_id").count():
        return ""
    is_english = page.locator("html").get_attribute("lang") == "en"
    page.fill("#id_group_id", GROUP)
    page.fill("#id_name", "Front desk" if is_english else "前台员工")
    page.click("form:has(#id_group_id) button")
    page.wait_for_selector("#enrol-form")
    enrol(page, ("zhangsan_1.png",))
    return urlsplit(page.url).path


def remove_group(page: Page, url: str, group: str) -> None:
    page.goto(url + group)
    page.click("form:has(input[name=act][value=delete]) button")
    page.click("[data-confirm-yes]")
    page.wait_for_url("**/gallery/")


def gallery_pages(page: Page, url: str, app: str, group: str) -> Iterator[tuple[str, str]]:
    """Yield an App's face gallery, with `group` or the first one, and its first person."""
    if group:
        yield "gallery-enrolled", group
        query = f"app={app.strip('/').rpartition('/')[2]}&api=face_search&groups={GROUP}"
        yield "gallery-search", f"/console/debug/?{query}"
    yield from (("gallery", f"{app}gallery/"), ("gallery-trail", f"{app}trail/"))
    group = group or first_row(page, f"{url}{app}gallery/")
    if group:
        yield "gallery-group", group
        if person := first_row(page, url + group):
            yield "gallery-person", person


def first_row(page: Page, address: str) -> str:
    """Return the path of the first row of a list, "" if it is empty."""
    page.goto(address)
    link = page.locator("main tbody th a").first
    return link.get_attribute("href") or "" if link.count() else ""


def operator_pages(page: Page, url: str, *, customer: str) -> Iterator[tuple[str, str]]:
    """Yield the pages in the operators' navigation, one record of each, and the desk for a customer."""
    page.goto(f"{url}/ops/")
    links = page.locator(".side a")
    for path in dict.fromkeys(
        links.nth(number).get_attribute("href") or "" for number in range(links.count())
    ):
        if not path.startswith(("/ops/", "/admin/")):
            continue
        name = path.strip("/").replace("/", "-")
        yield name, path
        if path.startswith("/admin/") and (record := first_row(page, url + path)):
            yield f"{name}-record", record
    desk = f"/ops/desk/?q={customer}"
    page.goto(url + desk)
    acts, tabs = ([one.get_attribute("href") or "" for one in page.locator(part).all()] for part in PARTS)
    for number, act in enumerate(acts, 1):
        yield f"ops-act-{number}", act
    for number, tab in enumerate(tabs, 1):
        yield f"ops-desk-{number}", urljoin("/ops/desk/", tab)


PARTS = (".desk aside a[href*='/acts/']", ".desk .tabs a")  # of the customer desk


LOOKS = list(product(("zh-hans", "en"), ("light", "dark"), WIDTHS))
Login = tuple[str, str]  # user, password


def shoot(
    url: str,
    customer: Login,
    operator: Login | None,
    folder: Path,
    *,
    look: str,
    only: set[str],
    faces: bool = False,
) -> int:
    """Write the pictures into `folder` and return their number. `look` filters combinations by name."""
    folder.mkdir(parents=True, exist_ok=True)
    visits: list[tuple[Login | None, Callable[[Page, str], Iterator[tuple[str, str]]]]] = [
        (None, lambda _page, _url: iter(PUBLIC.items())),
        (customer, partial(pages_of, faces=faces)),
    ]
    if operator:
        visits.append((operator, partial(operator_pages, customer=customer[0])))
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
                shots += sum(shot(page, url, folder, name, *one, only) for one in pages(page, url))
                context.close()
        browser.close()
    return shots


def shot(page: Page, url: str, folder: Path, look: str, name: str, address: str, only: set[str]) -> bool:
    if only and name not in only:
        return False
    if name in ("debug-result", "debug-compare", "explorer-result"):
        address += f"&app={app_that_ordered(page, url, parse_qs(urlsplit(address).query)['api'][0])}"
    page.goto(url + address)
    if name in ACTS:
        ACTS[name](page)
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
    parser.add_argument(
        "--faces", action="store_true", help="show the face gallery with the sample photograph"
    )
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
        faces=chosen.faces,
    )
    sys.stdout.write(f"{count} pictures in {chosen.folder}\n")


if __name__ == "__main__":
    main()
