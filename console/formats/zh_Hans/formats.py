"""Default formats of dates, the same as in English."""

from console.formats.en.formats import DATE_FORMAT as DATE_FORMAT
from console.formats.en.formats import DATETIME_FORMAT as DATETIME_FORMAT
from console.formats.en.formats import SHORT_DATE_FORMAT as SHORT_DATE_FORMAT
from console.formats.en.formats import SHORT_DATETIME_FORMAT as SHORT_DATETIME_FORMAT
