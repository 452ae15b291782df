"""Template filters that format values: money, counts with units, times, states."""

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.utils import timezone, translation
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.models import Api, CancelReason, Meter, Order, OrderState
from billing.packages import QuotaState, Summary
from console.documentation import json_view
from console.documentation.highlighting import highlighted
from inference.calibration import scoring

register = template.Library()


@register.filter
def money(amount: object) -> str:
    """Format an amount of money: 12.5 → "12.50 元", "¥12.50" in English."""
    return _("%(amount)s 元") % {"amount": yuan(amount)}


@register.filter
def yuan(amount: object) -> str:
    """Format an amount without its unit, which the head of the column states: 12.5 → "12.50"."""
    return f"{Decimal(str(amount or 0)):,.2f}"


@register.filter
def count(number: int | None) -> str:
    """Format a count: 12345 → "12,345"; an unknown number is a dash."""
    return "–" if number is None else f"{number:,}"


@register.filter
def rounded(number: float | None) -> str:
    """Round and format a number: 1234.5 → "1,234"; an unknown number is a dash."""
    return count(None if number is None else round(number))


REASONS = {
    "no_face": gettext_lazy("没有人脸"),
    "face_too_small": gettext_lazy("人脸过小"),
    "blurred": gettext_lazy("模糊"),
    "too_dark": gettext_lazy("过暗"),
    "too_bright": gettext_lazy("过亮"),
    "low_contrast": gettext_lazy("对比度低"),
    "extreme_pose": gettext_lazy("姿态过大"),
    "rotated": gettext_lazy("人脸朝向不明"),
    "cut_off": gettext_lazy("被图片边缘截断"),
    "several_faces": gettext_lazy("有多张大小相近的人脸"),
}


@register.filter
def reasons(quality: Mapping[str, Any]) -> str:
    """Return why a picture is not good enough, as in `quality.reasons`; "" if it is good enough."""
    return _("、").join(str(REASONS[reason]) for reason in quality["reasons"])


@register.filter
def by_chance(confidence: float) -> str:
    """Return how rarely similar strangers reach this confidence; "" if they reach it often."""
    if confidence < 50:
        return ""
    strangers = 1 / scoring.false_accept_rate(confidence)
    two_digits = round(strangers, 1 - math.floor(math.log10(strangers)))
    words = {"n": count(int(two_digits))}
    if confidence > scoring.measured_to():
        return _("同性别、同年龄段、同族群的不同人之间，每 %(n)s 对不到 1 对会达到") % words
    return _("同性别、同年龄段、同族群的不同人之间，约每 %(n)s 对有 1 对会达到") % words


@register.filter
def unit(meter: str) -> str:
    """Return the unit of a meter: 张, 次 or 对."""
    return str(Meter(meter).label)


@register.filter
def units(number: int, meter: str) -> str:
    """Return a number of units with their unit: 1 张, "1 image" in English."""
    if meter == Meter.IMAGES:
        text = translation.ngettext("%(n)s 张", "%(n)s 张", number)
    elif meter == Meter.CALLS:
        text = translation.ngettext("%(n)s 次", "%(n)s 次", number)
    else:
        text = translation.ngettext("%(n)s 对", "%(n)s 对", number)
    return text % {"n": count(number)}


@register.filter
def when(moment: datetime | None) -> str:
    """Return the local time to the second; a dash if there is none."""
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S") if moment else "–"


@register.filter
def minute(moment: datetime | None) -> str:
    """Return the local time to the minute."""
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M") if moment else "–"


@register.filter
def last_day(end: datetime | None) -> str:
    """Return the last day of something that is valid until `end`, exclusive."""
    return timezone.localtime(end - timedelta(microseconds=1)).strftime("%Y-%m-%d") if end else "–"


@register.filter
def day(moment: datetime | None) -> str:
    """Return the local date; a dash if there is none."""
    return timezone.localtime(moment).strftime("%Y-%m-%d") if moment else "–"


@register.filter
def month_day(moment: datetime | None) -> str:
    """Return the local day without its year: 12-29."""
    return timezone.localtime(moment).strftime("%m-%d") if moment else "–"


@register.filter
def months(number: int) -> str:
    """Format a number of months: 3 → "3 个月"."""
    return translation.ngettext("%(n)s 个月", "%(n)s 个月", number) % {"n": number}


@register.simple_tag
def order_steps() -> list[tuple[int, str]]:
    """Return the steps of an order (manual 3.1), from 1."""
    return list(enumerate((_("创建订单"), _("订单确认"), _("支付"), _("完成")), 1))


@register.filter
def state_class(order: Order) -> str:
    """Return the CSS class of an order's badge."""
    return {OrderState.PENDING: "badge-warn", OrderState.PAID: "badge-good"}.get(OrderState(order.state), "")


@register.filter
def state_text(order: Order) -> str:
    """Return 待支付, 已完成 or 已取消, with the reason of a cancellation."""
    if order.cancel_reason:
        return _("%(state)s（%(reason)s）") % {
            "state": order.get_state_display(),
            "reason": CancelReason(order.cancel_reason).label,
        }
    return str(order.get_state_display())


QUOTA_WORDS = {
    QuotaState.EXPIRED: gettext_lazy("已到期"),
    QuotaState.USED_UP: gettext_lazy("已用完"),
    QuotaState.LOW: gettext_lazy("即将用完"),
    QuotaState.ENDING: gettext_lazy("即将到期"),
}


@register.filter
def quota_word(line: Summary) -> str:
    """Return the word for the state of the remaining units: 已用完, 12-29 已恢复; "" if it is good."""
    if line.state == QuotaState.RESTORED:
        return _("%(day)s 已恢复") % {"day": month_day(line.restored_at)}
    return str(QUOTA_WORDS.get(line.state, ""))


@register.filter
def quota_class(line: Summary) -> str:
    """Return the CSS class of the badge of that state."""
    if line.state == QuotaState.RESTORED:
        return "badge-good"
    return "badge-bad" if line.state in (QuotaState.EXPIRED, QuotaState.USED_UP) else "badge-warn"


@register.filter
def short_id(request_id: object) -> str:
    """Return the ends of a request id, for a column: 019a1b2c…9f3a."""
    text = str(request_id)
    return f"{text[:8]}…{text[-4:]}"


@register.filter
def percent(value: float | None, digits: int = 1) -> str:
    """Format a share: 0.985 → "98.5%"; only 1 is "100%", and only 0 is "0%"."""
    if value is None:
        return "–"
    share, least = value * 100, 10.0**-digits
    if 0 < share < least / 2:
        return f"<{least:.{digits}f}%"
    if 100 - least / 2 <= share < 100:
        return f">{100 - least:.{digits}f}%"
    return f"{share:.{digits}f}%"


@register.filter
def change(now: int, before: int) -> str:
    """Return the change of a count from an earlier one: +12%; "" without an earlier one."""
    return f"{(now - before) / before:+.0%}" if before else ""


@register.filter
def percent_of(part: int, whole: int) -> int:
    """Return the percentage of a part; 0 if the whole is 0."""
    return round(100 * part / whole) if whole else 0


@register.filter
def pretty_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


@register.filter
def highlight(code: str, lexer: str) -> SafeString:
    """Return source text with syntax highlighting."""
    return highlighted(code, lexer)


@register.filter
def folded_json(value: Any) -> SafeString:
    """Return JSON as foldable HTML."""
    return json_view.folded(value)


@register.filter
def head(label: object) -> str:
    """Return the part of a choice's label before the "|"."""
    return str(label).partition("|")[0]


@register.filter
def tail(label: object) -> str:
    """Return the part of a choice's label after the "|", shown as small print."""
    return str(label).partition("|")[2]


@register.filter
def api_label(api: str) -> str:
    """Return the name of an API: face_detect → 人脸检测定位."""
    return str(Api(api).label)


@register.filter
def ticked(text: str) -> SafeString:
    """Return the text as HTML, in which `data` between backticks becomes <code>data</code>."""
    pieces = re.split(r"`([^`]+)`", text)  # every second one was between backticks
    marked = (format_html("<code>{}</code>", one) if at % 2 else one for at, one in enumerate(pieces))
    return format_html_join("", "{}", ((one,) for one in marked))


@register.filter
def parts(spec: str) -> list[str]:
    """Split "千张/月 × 2 + 万张/月 × 1" into its packages."""
    return spec.split(" + ") if spec else []


@register.filter
def words(text: str) -> list[str]:
    """Split a text at white space: "a b" → ["a", "b"]."""
    return text.split()


@register.filter
def get(mapping: Mapping[str, str], key: str) -> str:
    """Return the value of a key, or ""."""
    return mapping.get(key, "")
