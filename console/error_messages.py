"""Messages for RuleErrors, BillingErrors and API codes: the cause and the remedy."""

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts.errors import RuleError
from billing.errors import BillingError
from console.templatetags.show import money
from faceapi import errors


def sentence(error: BillingError | RuleError) -> str:
    """Return the message for the code of an error, with its values."""
    text = _texts().get(error.code)
    if error.code == "insufficient_balance":
        return _(
            "余额不足：代金券抵扣后还需支付 %(needed)s，账户余额 %(balance)s。"
            "请先充值或领取代金券，订单会保留至支付期限。"
        ) % {key: money(error.details[key]) for key in ("needed", "balance")}
    if error.code == "too_many_unpaid":
        return _("已有 %(limit)s 个订单待支付，请先支付或取消其中的订单，再创建新订单。") % error.details
    if error.code == "too_many_orders":
        return _("最近 24 小时内已创建 %(limit)s 个订单，请稍后再创建。") % error.details
    if error.code == "too_many_free":
        return (
            _("每个账号最多同时拥有 %(limit)s 个生效中的免费资源包。请等已有的到期后再订购，或联系管理员。")
            % error.details
        )
    if error.code == "price_changed":
        return _("价格已变更为 %(amount)s，请核对后重新创建订单。") % {
            "amount": money(error.details["amount"])
        }
    if error.code == "voucher_refused":
        return _voucher_texts()[str(error.details["why"])]
    return text or _("操作没有完成，请刷新页面后再试。")


def _texts() -> dict[str, str]:
    return {
        "offer_closed": _("所选规格、时长、数量或地域当前不可订购，请重新选择。"),
        "token_reused": _("这张表单已提交过，请在订单列表中查看。"),
        "order_not_payable": _("该订单当前不能支付。"),
        "order_paid": _("该订单已支付，没有重复扣款。"),
        "order_cancelled": _("该订单已取消，不能支付。请重新下单。"),
        "order_expired": _("该订单创建超过 48 小时未支付，已被取消。请重新下单。"),
        "order_not_cancellable": _("只有待支付的订单可以取消。"),
        "region_closed": _("该区域暂未开放订购，请在页面右上角切换区域。"),
        "key_not_live": _("该密钥已停用或已失效。"),
    }


def _voucher_texts() -> dict[str, str]:
    return {
        "unknown": _("券码不存在，请检查输入是否正确。"),
        "taken": _("该代金券已被领取。"),
        "expired": _("该代金券已过有效期。"),
        "operator": _("操作员账号不能领取代金券。"),
    }


def explained(code: int) -> dict[str, str]:
    """Return the meaning and the remedy of a code, in the reader's language."""
    english = get_language() == "en"
    if code == errors.OK:
        return {"message": errors.SUCCESS[1 if english else 0], "cause": "", "remedy": ""}
    row = errors.TABLE.get(code)
    if row is None:
        return {"message": str(code), "cause": "", "remedy": ""}
    if english:
        return {"message": row.en, "cause": row.cause_en, "remedy": row.remedy_en}
    return {"message": row.zh, "cause": row.cause_zh, "remedy": row.remedy_zh}
