"""The messages of errors for operators; those for customers are in console/error_messages.py."""

from decimal import Decimal

from django.utils.translation import gettext as _

from accounts.errors import RuleError
from billing.errors import BillingError
from console import error_messages
from console.templatetags.show import money


def sentence(error: BillingError | RuleError) -> str:
    """Return the message for the code of an error."""
    texts = {
        "amount_refused": _("数值超出允许范围，请检查后重新填写。"),
        "reason_missing": _("请填写原因，它会写入审计日志。"),
        "last_admin": _("这是最后一位管理员，至少要保留一位能管理操作员的账号。"),
        "account_erased": _("该账号的个人信息已清除，不能再启用。"),
        "not_erasable": _("只能清除已停用、没有角色、尚未清除的账号。"),
        "own_account": _("不能对自己的账号执行操作，请由另一位操作员完成。"),
        "superuser": _("超级用户的账号只能由超级用户操作。"),
        "own_request": _("自己提交的操作须由另一位操作员批准。"),
        "not_pending": _("该操作已有决定或已过期。"),
        "role_unknown": _("没有这个角色。"),
        "address_invalid": _("“%(text)s”不是有效的 IP 地址或网段。")
        % {"text": error.details.get("text", "")},
        "addresses_too_many": _("最多允许 %(limit)s 个地址。") % {"limit": error.details.get("limit", "")},
        "address_owned": _("这个邮箱已有账号。"),
        "address_unmailable": _("邮件系统无法使用这个邮箱地址，请检查输入或换一个邮箱。"),
        "limit_not_positive": _("上限必须是大于 0 的整数；留空表示不单独限制。"),
        "changed_meanwhile": _("目录刚刚被修改过，没有执行。请重新打开此页，核对后再提交。"),
        "change_refused": _("目录不能采用这个值，请检查后重新填写。"),
        "voucher_refused": _("代金券的失效时间必须晚于现在和生效时间。"),
        "insufficient_balance": _("账户余额只有 %(balance)s，冲正的金额不能超过余额。")
        % {"balance": money(Decimal(str(error.details.get("balance", 0))))},
    }
    why = {
        ("not_refundable", "used"): _("资源包已经使用过，不能退款。"),
        ("not_refundable", "ended"): _("资源包已到期，不能退款。"),
        ("not_refundable", "refunded"): _("资源包已退款，没有重复退款。"),
        ("not_reversible", "kind"): _("只有充值可以冲正。"),
        ("not_reversible", "reversed"): _("这笔充值已冲正，没有重复冲正。"),
        ("not_reversible", "amount"): _("冲正的金额不能超过这笔充值。"),
        ("not_extendable", "ended"): _("资源包已到期，不能延长。请让客户再次购买。"),
        ("not_extendable", "refunded"): _("资源包已退款，不能延长。"),
    }
    text = why.get((error.code, str(error.details.get("why")))) or texts.get(error.code)
    return text or error_messages.sentence(error)
