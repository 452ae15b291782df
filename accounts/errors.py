"""The error that the rules of this room raise.

This room contains no messages and no HTTP: the console turns `code` and `details` into a sentence.

Codes: `name_empty`, `name_too_long`, `name_characters` (names.py, details: field, limit, character);
`tags_too_many` (applications.py); `key_not_live` (keys.py); `reason_missing` (audit.py); `role_unknown`,
`last_admin`, `account_erased` (roles.py); `not_erasable` (erasure.py); `link_invalid`, `address_owned`
(addresses.py); `address_unmailable`, `invitation_used` (invitations.py); `own_account` (own_account.py);
`own_request`, `not_pending` (approvals.py); `address_invalid`, `addresses_too_many`, `limit_not_positive`
(limits.py); `superuser` (operations/actions/restrictions.py).
"""


class RuleError(ValueError):
    """A business rule was violated. `code` is stable; `details` are the values for its message."""

    def __init__(self, code: str, **details: object) -> None:
        super().__init__(code)
        self.code = code
        self.details = details
