"""Every run's report.html: a page of charts and examples that people would rather look at than read.

What comes from data goes through markup.py, which escapes it; a module for each thing that is shown; writing.py puts them together.
"""

from kit.reporting.repeat import flags
from kit.reporting.seen import UNSCORED, Data
from kit.reporting.writing import NAME, write

__all__ = ["NAME", "UNSCORED", "Data", "flags", "write"]
