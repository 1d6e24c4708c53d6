"""The report of a run for citizens: one HTML file that needs no network."""

from zaehlwerk_tools.report.page import report

__all__ = ["report"]
