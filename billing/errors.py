"""What the rules about money and quota refuse.

BillingError                    `code` is stable; `details` are the values for a sentence about it
├── NotOrdered                  no Package for this App and API        (faceapi: 4201)
├── UsedUp                      live Periods, but too little in them   (faceapi: 4202)
├── Expired                     every Package has ended                (faceapi: 4203)
├── HoldLost                    the hold was given back before it was settled: the call must not be served
├── OfferClosed                 details.what: sku, duration, region, quantity, app
├── PriceChanged                the catalogue's price is no longer the one that the customer saw
├── TooManyUnpaid               details.limit: orders of one customer that may wait for payment
├── TooManyFree                 details.limit: free packages that one customer may have at a time
├── TokenReused                 the form's token belongs to a different order or top-up
├── OrderNotPayable             details.state
│   ├── OrderPaid               paid before: nothing was charged now
│   ├── OrderCancelled          cancelled by the customer
│   └── OrderExpired            unpaid for 48 hours
├── OrderNotCancellable         details.state
├── InsufficientBalance         details.needed, details.balance; the order stays payable
├── VoucherRefused              details.why: unknown, taken, expired
├── AmountRefused               money that is no positive number of fen; months out of range
├── ReasonMissing               an operator's act without a reason
├── ChangeRefused               details.field: a value that the catalogue can't hold
├── NotRefundable               details.why: used, ended, refunded
└── NotExtendable               details.why: ended, refunded
"""


class BillingError(Exception):
    """A rule about money or quota said no."""

    code = "billing"

    def __init__(self, **details: object) -> None:
        super().__init__(self.code, details)
        self.details = details


class NotOrdered(BillingError):
    """No Package for this App and API."""

    code = "not_ordered"


class UsedUp(BillingError):
    """Too little left. details: remaining (units), next_at (when the next Period starts, or None)."""

    code = "used_up"


class Expired(BillingError):
    """Every Package has ended. details: ended_at."""

    code = "expired"


class HoldLost(BillingError):
    """The units went back to their Periods before the call was settled. details: call_id."""

    code = "hold_lost"


class OfferClosed(BillingError):
    """The catalogue does not offer this. details: what."""

    code = "offer_closed"


class PriceChanged(BillingError):
    """details: seen, amount (yuan)."""

    code = "price_changed"


class TooManyUnpaid(BillingError):
    """As many of the customer's orders wait for payment as may. details: limit."""

    code = "too_many_unpaid"


class TooManyFree(BillingError):
    """As many free packages of the customer are running as may. details: limit."""

    code = "too_many_free"


class TokenReused(BillingError):
    """One form token, two different wishes. details: number (of the first, if it is an order)."""

    code = "token_reused"


class OrderNotPayable(BillingError):
    """details: number, state."""

    code = "order_not_payable"


class OrderPaid(OrderNotPayable):
    """Paid before."""

    code = "order_paid"


class OrderCancelled(OrderNotPayable):
    """Cancelled by the customer."""

    code = "order_cancelled"


class OrderExpired(OrderNotPayable):
    """Unpaid for 48 hours."""

    code = "order_expired"


class OrderNotCancellable(BillingError):
    """Only a pending order can be cancelled. details: number, state."""

    code = "order_not_cancellable"


class InsufficientBalance(BillingError):
    """Vouchers and balance together are too little. details: needed, balance (yuan)."""

    code = "insufficient_balance"


class VoucherRefused(BillingError):
    """details: why (unknown, taken, expired, operator)."""

    code = "voucher_refused"


class AmountRefused(BillingError):
    """Not a positive number of whole fen, or too many or too few months. details: amount."""

    code = "amount_refused"


class ReasonMissing(BillingError):
    """An operator's act needs a reason."""

    code = "reason_missing"


class ChangeRefused(BillingError):
    """The catalogue can't hold this value. details: field, value."""

    code = "change_refused"


class NotRefundable(BillingError):
    """details: why (used, ended, refunded)."""

    code = "not_refundable"


class NotExtendable(BillingError):
    """details: why (ended, refunded)."""

    code = "not_extendable"
