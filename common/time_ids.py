"""Version 7 UUIDs, the ids of calls and debits: their first 48 bits are milliseconds since 1970.

So the rows of a time range have a range of ids, by which days are read and months are partitioned.
"""

import secrets
from datetime import datetime
from uuid import UUID

END = UUID(int=2**128 - 1)  # above every id, since none has this version


def new(at: datetime) -> UUID:
    """Return a new id for the time `at`."""
    bits = (0x7 << 76) | (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    return UUID(int=first(at).int | bits)


def first(at: datetime) -> UUID:
    """Return the lower bound of the ids created at `at` or later."""
    return UUID(int=int(at.timestamp() * 1000) << 80)
