"""Compare the units stated in the clients' answers with the ledger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.chaos.database import Database
from bench.chaos.load import HUNG_UP, Sent

# Charged calls whose answer was lost, and whose Idempotency-Key then got that answer.
_KEYS = """
SELECT keys.key_sha256, keys.call_id::text FROM faceapi_idempotencykey AS keys WHERE charged_at IS NOT NULL
"""
_CALLS = """
SELECT body_bytes, extract(epoch FROM at) + latency_ms / 1000.0 FROM faceapi_call WHERE id = %s
"""
# The time that the end of a connection takes to reach the web process, through a proxy as well.
TRANSIT_S = 0.01
_DEBITS = "SELECT call_id::text, state, units FROM billing_debit WHERE created_at >= to_timestamp(%s)"


@dataclass
class Comparison:
    """The two counts, and the calls where they differ: id → (units answered, units charged)."""

    calls: int
    answered_units: int
    charged_units: int
    against_the_customer: dict[str, tuple[int, int]] = field(default_factory=dict)
    in_their_favour: dict[str, tuple[int, int]] = field(default_factory=dict)
    by_repeat: int = 0  # units of calls that were answered by a repeat of their Idempotency-Key
    in_transit: int = 0  # units of answers that were on their way when the client hung up

    @property
    def difference(self) -> int:
        return self.charged_units - self.answered_units - self.by_repeat - self.in_transit


def compare(
    sent: Sequence[Sent],
    database: Database,
    since: float,
    transit_s: Callable[[float], float] = lambda hung_up_at: TRANSIT_S,
) -> Comparison:
    """Compare call by call. Every debit must have ended: see `open_debits`.

    A call may be charged without an answer if its client hung up while the answer was on its way: the call
    had ended by then, or ended before the end of the connection arrived, which takes at most `transit_s`
    (docs/decisions/0023-charge-after-the-answer.md).
    """
    answered = {one.call_id: one.units for one in sent if one.call_id and one.units}
    debits = database.ask(_DEBITS, since)
    charged = {str(call_id): int(str(units)) for call_id, state, units in debits if state == "settled"}
    repeated = {one.key for one in sent if one.key and one.is_repeat and one.code == 0}
    by_repeat = {str(call_id) for key, call_id in database.ask(_KEYS) if key in repeated}
    found = Comparison(len(debits), sum(answered.values()), sum(charged.values()))
    for call_id in answered.keys() | charged.keys():
        stated, taken = answered.get(call_id, 0), charged.get(call_id, 0)
        if stated < taken and call_id in by_repeat and not stated:
            found.by_repeat += taken
        elif not stated and _was_in_transit(call_id, sent, database, transit_s):
            found.in_transit += taken
        elif stated < taken:
            found.against_the_customer[call_id] = (stated, taken)
        elif stated > taken:
            found.in_their_favour[call_id] = (stated, taken)
    return found


def _was_in_transit(
    call_id: str, sent: Sequence[Sent], database: Database, transit_s: Callable[[float], float]
) -> bool:
    """Return whether the client of this call hung up when its answer was on its way."""
    for body_bytes, ended_at in database.ask(_CALLS, call_id):
        for one in sent:
            if one.fault == HUNG_UP and one.body_bytes == body_bytes:
                hung_up_at = one.sent_at + one.took_s
                return hung_up_at + transit_s(hung_up_at) >= float(str(ended_at))
    return False


def open_debits(database: Database) -> int:
    """Return the number of debits that are neither charged nor returned yet."""
    return len(database.ask("SELECT 1 FROM billing_debit WHERE state IN ('held', 'settling')"))


def unconfirmed(database: Database, sent: Sequence[Sent]) -> list[str]:
    """Return the calls whose answers with code 0 arrived and that are not confirmed yet."""
    stated = {one.call_id for one in sent if one.units}
    settling = database.ask("SELECT call_id::text FROM billing_debit WHERE state = 'settling'")
    return [str(call_id) for (call_id,) in settling if call_id in stated]
