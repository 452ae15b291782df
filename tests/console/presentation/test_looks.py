"""Accessibility and layout of every page: axe, light and dark, phone width, keyboard, no layout shift."""

from datetime import datetime

import pytest
from playwright.sync_api import Locator, expect

from accounts.models import App, User
from billing.models import Order
from faceapi.models import Call
from gallery import groups
from gallery.groups import Wanted
from gallery.models import Person
from gallery.trail import Actor
from tests.console.conftest import PASSWORD, Place, Visitor
from tests.console.screenshots import CONSOLE, PUBLIC
from tests.console.test_pages import pages_of
from tests.gallery.conftest import store, template
from tests.operations.conftest import call

pytestmark = pytest.mark.browser


@pytest.fixture
def app(app: App, now: datetime) -> App:
    """With a call that failed, and a person in a face gallery."""
    call(app, "face_detect", now, code=4003)
    groups.add(app, [Wanted("staff", "员工")], now, Actor())
    store(app, "zhang.san", template(1), at=now, note="三楼")
    return app


def own_pages(app: App, pending: Order) -> list[str]:
    paid = Order.objects.filter(app=app).latest("pk")
    person = Person.objects.get(group__app=app)
    return [
        *CONSOLE.values(),
        *(path for path in pages_of(app, paid) if not path.endswith(".csv")),
        f"/console/orders/{pending.number}/pay/",
        f"/console/calls/{Call.objects.get(app=app, code=4003).pk}/",
        f"/console/apps/{app.app_id}/gallery/{person.group_id}/",
        f"/console/apps/{app.app_id}/persons/{person.pk}/",
    ]


def set_look(visitor: Visitor, theme: str, language: str) -> None:
    choices = {"theme": theme, "django_language": language}
    visitor.page.context.add_cookies(
        [{"name": name, "value": value, "url": visitor.url} for name, value in choices.items()]
    )


@pytest.mark.parametrize(("theme", "language"), [("light", "zh-hans"), ("dark", "en")])
def test_axe_finds_nothing_serious(
    visitor: Visitor, alice: User, app: App, place: Place, theme: str, language: str
) -> None:
    """Contrast depends on the theme only and labels on the language only, so two combinations suffice."""
    violations = []
    set_look(visitor, theme, language)
    for path in PUBLIC.values():
        visitor.open(path)
        violations += visitor.axe()
    visitor.log_in(alice)
    for path in own_pages(app, place(alice)):
        visitor.open(path)
        violations += visitor.axe()
    assert violations == []
    visitor.console_messages = [line for line in visitor.console_messages if "404" not in line]


def test_axe_finds_nothing_serious_on_empty_pages(visitor: Visitor, bob: User) -> None:
    violations = []
    visitor.log_in(bob)
    for path in CONSOLE.values():
        visitor.open(path)
        violations += visitor.axe()
    assert violations == []


def test_axe_finds_nothing_serious_in_a_result(visitor: Visitor, alice: User, app: App) -> None:
    visitor.log_in(alice)
    visitor.open(f"/console/debug/?app={app.app_id}")
    visitor.press("发送请求")
    expect(visitor.page.locator("#result .mark-box")).to_have_count(1)
    assert visitor.axe() == []


# Numbers, amounts, dates and times in a page's text that are broken over several lines.
WRAPPED = r"""() => {
  const found = [];
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  const number = /\d{4}-\d\d-\d\d|\d{1,2}:\d\d(:\d\d)?|(?<![\w-])[-+−¥]?\d[\d,]*(\.\d+)?\s?%?/g;
  while (walker.nextNode()) {
    const text = walker.currentNode;
    const around = text.parentElement;
    const head = around.closest("thead");
    if (around.closest("pre, code, .mono, .json, svg, script, noscript, .visually-hidden")) continue;
    if (head && getComputedStyle(head).position === "absolute") continue; // hidden
    for (const match of text.data.matchAll(number)) {
      const range = document.createRange();
      range.setStart(text, match.index);
      range.setEnd(text, match.index + match[0].trimEnd().length);
      const tops = [...range.getClientRects()].filter((box) => box.width).map((box) => box.top);
      if (tops.length && Math.max(...tops) - Math.min(...tops) > 4) found.push(match[0]);
    }
  }
  return found;
}"""


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_nothing_is_wider_than_a_phone_and_no_number_wraps(
    phone: Visitor, alice: User, app: App, place: Place, language: str
) -> None:
    phone.log_in(alice)
    phone.page.context.add_cookies([{"name": "django_language", "value": language, "url": phone.url}])
    wide, wrapped = [], []
    for path in [*own_pages(app, place(alice)), *PUBLIC.values()]:
        phone.open(path)
        width = phone.page.evaluate("document.documentElement.scrollWidth")
        if width > 375:
            wide.append((path, width))
        wrapped += [(path, number) for number in phone.page.evaluate(WRAPPED)]
    assert wide == []
    assert wrapped == []
    assert phone.axe() == []  # elements that are hidden for lack of space keep their accessible name
    phone.console_messages = [line for line in phone.console_messages if "404" not in line]


def test_no_table_is_cut_off_on_a_small_laptop_and_no_number_wraps(
    visitor: Visitor, alice: User, app: App, place: Place
) -> None:
    """In English, whose texts are longer."""
    visitor.log_in(alice)
    set_look(visitor, "light", "en")
    cut, wrapped = [], []
    for path in [*own_pages(app, place(alice)), *PUBLIC.values()]:
        visitor.open(path)
        for width in (1081, 1280):
            visitor.page.set_viewport_size({"width": width, "height": 860})
            hidden_px = visitor.page.locator(".table-wrap").evaluate_all(
                "tables => tables.map(table => table.scrollWidth - table.clientWidth)"
            )
            cut += [(path, width, number) for number in hidden_px if number > 0]
            wrapped += [(path, width, number) for number in visitor.page.evaluate(WRAPPED)]
    assert cut == []
    assert wrapped == []
    visitor.console_messages = [line for line in visitor.console_messages if "404" not in line]


def test_the_layout_does_not_shift_while_a_page_loads(visitor: Visitor, alice: User, app: App) -> None:
    visitor.page.add_init_script(
        "window.shift = 0; new PerformanceObserver(list => list.getEntries().forEach(entry => {"
        " if (!entry.hadRecentInput) window.shift += entry.value; }))"
        ".observe({type: 'layout-shift', buffered: true})"
    )
    visitor.log_in(alice)
    for path in (
        "/console/",
        f"/console/apps/{app.app_id}/report/",
        "/console/orders/new/",
        "/console/debug/",
    ):
        visitor.open(path)
        visitor.page.wait_for_timeout(300)
        assert visitor.page.evaluate("window.shift") < 0.02, path


def test_the_region_and_the_menus_are_usable_by_keyboard(visitor: Visitor, alice: User, app: App) -> None:
    page = visitor.page
    visitor.log_in(alice)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="跳到正文")).to_be_focused()
    page.locator("#region-switch summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#region-switch summary")).to_contain_text("广州4")
    page.locator("#user-menu summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="账号设置").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#user-menu summary")).to_be_focused()
    visitor.open("/console/apps/")
    expect(page.get_by_text("其他区域还有 1 个应用")).to_be_visible()


FOCUS_SHOWN = """element => {
  const drawn = element.closest(".choice")?.querySelector(".box") ?? element;
  return getComputedStyle(drawn).outlineStyle;
}"""


def tab_to(visitor: Visitor, target: Locator) -> None:
    """Press Tab until `target` has the focus, which must be visible."""
    for _press in range(60):
        visitor.page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            assert target.evaluate(FOCUS_SHOWN) == "solid", target
            return
    pytest.fail(f"Tab never reaches {target}")


def test_the_main_path_works_by_keyboard_alone(visitor: Visitor, alice: User) -> None:
    page = visitor.page
    main = page.locator("main")
    press = page.keyboard.press
    visitor.log_in(alice)
    tab_to(visitor, main.get_by_role("link", name="创建应用"))
    press("Enter")
    tab_to(visitor, page.get_by_label("应用名称"))
    page.keyboard.type("门禁核验")
    tab_to(visitor, page.get_by_label("应用描述"))
    page.keyboard.type("一号楼门禁")
    tab_to(visitor, page.get_by_label("人脸检测定位"))
    press("ArrowRight")
    tab_to(visitor, page.get_by_role("button", name="增加数量"))
    page.wait_for_load_state()  # the button needs its script
    press("Enter")
    expect(page.locator("#order-total")).to_contain_text("每月可用 2,000 张")
    for button in ("下一步", "立即创建", "立即付款"):
        tab_to(visitor, main.get_by_role("button", name=button))
        press("Enter")
    expect(page.get_by_text("订单处理完成！")).to_be_visible()
    assert Order.objects.get().sku.api == "face_analyse"
    expect(page.get_by_role("button", name="复制 SecretKey")).to_be_focused()
    press("Escape")
    tab_to(visitor, main.get_by_role("link", name="查看密钥"))
    press("Enter")
    tab_to(visitor, main.locator("summary", has_text="显示 SecretKey"))
    press("Enter")
    tab_to(visitor, page.locator("details[open] input[type=password]"))
    page.keyboard.type(PASSWORD)
    press("Enter")
    expect(page.locator("#secret")).to_be_visible()
    press("Escape")
    tab_to(visitor, main.get_by_role("link", name="在线调试"))
    press("Enter")
    tab_to(visitor, main.get_by_role("button", name="发送请求"))
    press("Enter")
    expect(page.locator("#result .mark-box")).to_have_count(1)
    expect(page.locator("#said")).to_have_text("结果 code 0 成功")
    expect(main.get_by_role("button", name="发送请求")).to_be_focused()


def test_the_switch_changes_the_language(visitor: Visitor, alice: User) -> None:
    visitor.log_in(alice)
    visitor.page.get_by_role("button", name="English").click()
    expect(visitor.page.get_by_role("heading", name="Overview")).to_be_visible()
    visitor.page.get_by_role("button", name="中文").click()
    expect(visitor.page.get_by_role("heading", name="概览")).to_be_visible()


def test_the_dark_theme_follows_the_switch_and_the_system(visitor: Visitor, alice: User) -> None:
    page = visitor.page
    background = "getComputedStyle(document.body).backgroundColor"
    sun, moon = (page.locator(f"[data-theme-switch] .{name}") for name in ("if-light", "if-dark"))
    visitor.open("/")
    light = page.evaluate(background)
    expect(sun).to_be_visible()
    expect(moon).to_be_hidden()
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(background)
    assert dark != light
    expect(moon).to_be_visible()
    expect(sun).to_be_hidden()
    page.get_by_role("button", name="切换深色或浅色").click()
    expect(page.locator("body")).to_have_css("background-color", light)
    expect(sun).to_be_visible()
    expect(moon).to_be_hidden()
