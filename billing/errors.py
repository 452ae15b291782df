"""The errors of this room: a rule about money or quota forbids the request.

BillingError                    `code` is stable; `details` are the values for its message
├── NotOrdered                  no Package for this App and API        (faceapi: 4201)
├── UsedUp                      the live Periods have too few units   (faceapi: 4202)
├── Expired                     every Package has ended                (faceapi: 4203)
├── HoldLost                    the hold was returned before it was settled: the call must not be served
├── OfferClosed                 details.what: sku, duration, region, quantity, app
├── PriceChanged                the catalogue's price is no longer the one that the customer saw
├── TooManyUnpaid               details.limit: unpaid orders that one customer may have
├── TooManyOrders               details.limit: orders that one customer may create in 24 hours
├── TooManyFree                 details.limit: free packages that one customer may have at a time
├── TokenReused                 the form's token belongs to a different order or top-up
├── OrderNotPayable             details.state
│   ├── OrderPaid               already paid; nothing was charged
│   ├── OrderCancelled          cancelled by the customer or an operator
│   └── OrderExpired            unpaid for 48 hours
├── OrderNotCancellable         details.state
├── InsufficientBalance         details.needed, details.balance; the order stays payable
├── VoucherRefused              details.why: unknown, taken, expired, operator
├── AmountRefused               not a positive whole number of fen, or months out of range
├── ReasonMissing               an operator's action without a reason
├── ChangeRefused               details.field, details.value: what the catalogue does not accept
├── ChangedMeanwhile            details.field: changed since the operator saw it
├── NotRefundable               details.why: used, ended, refunded
├── NotReversible               details.why: kind, reversed, amount
└── NotExtendable               details.why: ended, refunded
"""


class BillingError(Exception):
    """Base class: a rule about money or quota forbids the request."""

    code = "billing"

    def __init__(self, **details: object) -> None:
        super().__init__(self.code, details)
        self.details = details


class NotOrdered(BillingError):
    """No Package for this App and API."""

    code = "not_ordered"


class UsedUp(BillingError):
    """Fewer units are left than the call needs. details: remaining, next_at (the next Period, or None)."""

    code = "used_up"


class Expired(BillingError):
    """Every Package has ended. details: ended_at."""

    code = "expired"


class HoldLost(BillingError):
    """The units were returned before the call was settled. details: call_id."""

    code = "hold_lost"


class OfferClosed(BillingError):
    """The catalogue does not offer what was ordered. details: what."""

    code = "offer_closed"


class PriceChanged(BillingError):
    """The price is no longer the one that the customer confirmed. details: seen, amount (yuan)."""

    code = "price_changed"


class TooManyUnpaid(BillingError):
    """The customer already has the maximum number of unpaid orders. details: limit."""

    code = "too_many_unpaid"


class TooManyOrders(BillingError):
    """The customer created the maximum number of orders in the last 24 hours. details: limit."""

    code = "too_many_orders"


class TooManyFree(BillingError):
    """The customer already has the maximum number of free packages. details: limit."""

    code = "too_many_free"


class TokenReused(BillingError):
    """A form's token was reused for something else. details: number (if the first use was an order)."""

    code = "token_reused"


class OrderNotPayable(BillingError):
    """The order is no longer pending. details: number, state."""

    code = "order_not_payable"


class OrderPaid(OrderNotPayable):
    """The order is already paid."""

    code = "order_paid"


class OrderCancelled(OrderNotPayable):
    """The order was cancelled by the customer or an operator."""

    code = "order_cancelled"


class OrderExpired(OrderNotPayable):
    """The order was unpaid for 48 hours."""

    code = "order_expired"


class OrderNotCancellable(BillingError):
    """Only a pending order can be cancelled. details: number, state."""

    code = "order_not_cancellable"


class InsufficientBalance(BillingError):
    """Vouchers and balance together do not cover the amount. details: needed, balance (yuan)."""

    code = "insufficient_balance"


class VoucherRefused(BillingError):
    """The voucher cannot be redeemed or issued. details: why (unknown, taken, expired, operator)."""

    code = "voucher_refused"


class AmountRefused(BillingError):
    """Not a positive whole number of fen, or months out of range. details: amount."""

    code = "amount_refused"


class ReasonMissing(BillingError):
    """An operator's action needs a reason."""

    code = "reason_missing"


class ChangeRefused(BillingError):
    """The catalogue does not accept this value. details: field, value."""

    code = "change_refused"


class ChangedMeanwhile(BillingError):
    """The field was changed since the operator saw it. details: field."""

    code = "changed_meanwhile"


class NotRefundable(BillingError):
    """The package cannot be refunded. details: why (used, ended, refunded)."""

    code = "not_refundable"


class NotReversible(BillingError):
    """The top-up cannot be reversed. details: why (kind: not a top-up; reversed; amount: too large)."""

    code = "not_reversible"


class NotExtendable(BillingError):
    """The package cannot be extended. details: why (ended, refunded)."""

    code = "not_extendable"
