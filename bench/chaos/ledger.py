"""Compare the units stated in the clients' answers with the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.chaos.database import Database
from bench.chaos.load import Sent

# Charged calls whose answer was lost, and whose Idempotency-Key then got that answer.
_KEYS = """
SELECT keys.key_sha256, keys.call_id::text FROM faceapi_idempotencykey AS keys WHERE charged_at IS NOT NULL
"""
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

    @property
    def difference(self) -> int:
        return self.charged_units - self.answered_units - self.by_repeat


def compare(sent: Sequence[Sent], database: Database, since: float) -> Comparison:
    """Compare call by call. Every debit must have ended: see `open_debits`."""
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
        elif stated < taken:
            found.against_the_customer[call_id] = (stated, taken)
        elif stated > taken:
            found.in_their_favour[call_id] = (stated, taken)
    return found


def open_debits(database: Database) -> int:
    """Return the number of debits that are neither charged nor returned yet."""
    return len(database.ask("SELECT 1 FROM billing_debit WHERE state IN ('held', 'settling')"))


def unconfirmed(database: Database, sent: Sequence[Sent]) -> list[str]:
    """Return the calls whose answers with code 0 arrived and that are not confirmed yet."""
    stated = {one.call_id for one in sent if one.units}
    settling = database.ask("SELECT call_id::text FROM billing_debit WHERE state = 'settling'")
    return [str(call_id) for (call_id,) in settling if call_id in stated]
