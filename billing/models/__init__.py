"""The tables of money and quota. Each has one writer, named in its docstring."""

from billing.models.catalogue import Api, CatalogueChange, Duration, Meter, ScheduledChange, Sku, Tier
from billing.models.notices import Notice, NoticeKind, NoticeSettings
from billing.models.orders import CancelReason, Order, OrderState
from billing.models.proofs import AnsweredHour, ProvedDay, ProvedUnits, ReconcileRun
from billing.models.quota import Debit, DebitLine, DebitState, Package, Period, PeriodSample
from billing.models.wallet import EntryKind, Voucher, VoucherEntry, Wallet, WalletEntry, masked

__all__ = [
    "AnsweredHour",
    "Api",
    "CancelReason",
    "CatalogueChange",
    "Debit",
    "DebitLine",
    "DebitState",
    "Duration",
    "EntryKind",
    "Meter",
    "Notice",
    "NoticeKind",
    "NoticeSettings",
    "Order",
    "OrderState",
    "Package",
    "Period",
    "PeriodSample",
    "ProvedDay",
    "ProvedUnits",
    "ReconcileRun",
    "ScheduledChange",
    "Sku",
    "Tier",
    "Voucher",
    "VoucherEntry",
    "Wallet",
    "WalletEntry",
    "masked",
]
