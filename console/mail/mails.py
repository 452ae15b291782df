"""Mails about an account: verification links, invitations, and notices of changes.

Pages only queue them. Texts are written and addresses looked up in the background (console/tasks.py), so that
the response time reveals nothing. Notices of usage are in billing/notices/.
"""

import logging
from typing import Any

import redis
from celery import Task
from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import send_mail
from django.db import transaction
from django.urls import reverse
from django.utils import translation
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from accounts.models import Invitation, User
from accounts.users import addresses, invitations
from common.links import absolute

EXPIRES_S = 3600  # a mail that is sent later than this would confuse its reader
ADDRESS_ASKED, ADDRESS_CHANGED, PASSWORD_CHANGED = "address_asked", "address_changed", "password_changed"
KEY_SHOWN, KEY_ROTATED = "key_shown", "key_rotated"

log = logging.getLogger(__name__)


def queue(task: Task, *arguments: Any) -> None:
    """Queue a mail after the commit. If the broker is unavailable, the mail is lost and this is logged."""

    def send() -> None:
        try:
            task.apply_async(arguments, retry=False, expires=EXPIRES_S)
        except (redis.RedisError, OperationalError, OSError):
            log.exception("a mail could not be queued: %s", task.name)

    transaction.on_commit(send)


def send_verification(user: User) -> None:
    """Send the link that verifies the address that the user entered.

    If another account owns the address, its owner is notified instead, without a link.
    """
    address = addresses.to_confirm(user)
    if not address:
        return
    owner = addresses.owner_of(address)
    if owner and owner.pk != user.pk:
        with translation.override(owner.language):
            _send(
                owner.email,
                _("有人用您的邮箱注册账号"),
                _("有人在人脸识别控制台注册账号或修改邮箱时，填写了您的邮箱地址。您的账号没有任何改变。"),
                _("您已有账号，用户名是 %(name)s，可以直接登录：%(link)s")
                % {"name": owner.username, "link": absolute(reverse("login"))},
                _(
                    "如果忘记了密码，可以在登录页点击“忘记密码”重新设置。如果不是您本人的操作，请忽略这封邮件。"
                ),
            )
        return
    path = f"{reverse('email_confirm')}?token={addresses.token(user, address)}"
    with translation.override(user.language):
        _send(
            address,
            _("请验证您的邮箱"),
            _("您好，用户名为 %(name)s 的人脸识别账号填写了这个邮箱。请登录该账号并打开下面的链接完成验证：")
            % {"name": user.username},
            absolute(path),
            _("链接 3 天内有效。如果不是您本人的操作，请忽略这封邮件，这个邮箱不会再收到通知。"),
        )


def send_reset_links(address: str) -> None:
    """Mail a link that sets a new password for each account of the address (`addresses.accounts_of`).

    Accounts may have entered the address in another spelling; each mail goes to the one that was entered.
    """
    users = [user for user in addresses.accounts_of(address) if user.has_usable_password()]
    for spelling in dict.fromkeys(user.email for user in users):
        links = [(user.username, _reset_link(user)) for user in users if user.email == spelling]
        warning = _("链接 1 小时内有效，只能使用一次。如果您没有申请，请忽略这封邮件，您的密码不会改变。")
        _send(spelling, _("重设您的密码"), *_offer(links), warning)


def _offer(links: list[tuple[str, str]]) -> list[str]:
    """Return the paragraphs with the links, each with the user name of its account."""
    if len(links) == 1:
        ((name, link),) = links
        what = _("有人（应当是您）申请重设人脸识别控制台的密码。请打开下面的链接设置新密码：")
        return [_("%(name)s，您好：") % {"name": name}, what, link]
    what = _(
        "有人（应当是您）申请重设人脸识别控制台的密码。以下账号都填写了这个邮箱，但都还没有验证。"
        "请只打开您自己的账号的链接；您不认识的账号是别人用您的邮箱注册的，请不要使用："
    )
    return [_("您好："), what, *(f"{name}\n{link}" for name, link in links)]


def _reset_link(user: User) -> str:
    uid = urlsafe_base64_encode(str(user.pk).encode())
    return absolute(reverse("password_reset_confirm", args=[uid, default_token_generator.make_token(user)]))


def send_change(kind: str, user: User, address: str) -> None:
    """Notify `address` of a change of the account; if the address changed, it is the previous one."""
    with translation.override(user.language):
        subject, text = {
            ADDRESS_ASKED: (
                _("您的账号正在更换邮箱"),
                _("用户名为 %(name)s 的账号申请更换邮箱，新邮箱验证后生效。"),
            ),
            ADDRESS_CHANGED: (
                _("您的账号已更换邮箱"),
                _("用户名为 %(name)s 的账号已改用另一个邮箱，通知不再发送到这里。"),
            ),
            PASSWORD_CHANGED: (_("您的密码已修改"), _("用户名为 %(name)s 的账号的登录密码刚刚被修改。")),
            KEY_SHOWN: (
                _("您的 SecretKey 刚刚被查看"),
                _("有人登录用户名为 %(name)s 的账号，输入密码后查看了一个应用的 SecretKey。"),
            ),
            KEY_ROTATED: (
                _("您的密钥刚刚被更换"),
                _("有人登录用户名为 %(name)s 的账号，输入密码后为一个应用换了新密钥。"),
            ),
        }[kind]
        # The former address of an account gets no link to reset the password.
        advice = _("如果不是您本人的操作，请立即联系管理员。")
        if kind != ADDRESS_CHANGED:
            link = absolute(reverse("password_reset"))
            advice = _("如果不是您本人的操作，请立即重设密码：%(link)s\n然后联系管理员。") % {"link": link}
        paragraphs = [text % {"name": user.username}, advice]
        if settings.SUPPORT_CONTACT:
            paragraphs.append(_("联系方式：%(contact)s。") % {"contact": settings.SUPPORT_CONTACT})
        _send(address, subject, *paragraphs)


def send_invitation(row: Invitation) -> None:
    """Send an invitation in both languages, because the recipient's language is not known yet."""
    path = f"{reverse('register')}?invitation={invitations.token(row)}"
    texts = []
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            texts += [
                _("您受邀使用人脸识别控制台。请打开下面的链接注册账号，链接 7 天内有效："),
                absolute(path),
            ]
    with translation.override(settings.LANGUAGE_CODE):
        subject = _("邀请您使用人脸识别控制台")
    _send(row.email, f"{subject} · Invitation to Facecloud", *texts)


def _send(address: str, subject: str, *paragraphs: str) -> None:
    send_mail(subject, "\n\n".join(paragraphs) + "\n", settings.DEFAULT_FROM_EMAIL, [address])
