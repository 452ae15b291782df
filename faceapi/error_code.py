"""One line of the table of answer codes (errors/__init__.py)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One line of the table. `http` is the status that the reply carries."""

    number: int
    http: int
    zh: str
    en: str
    cause_zh: str
    cause_en: str
    remedy_zh: str
    remedy_en: str
    reserved: bool = False
