"""What is told of a crash. Loaded when there is one."""

import io
import sys


def describe(error):
    """One line: type, text, and the file and line where it happened."""
    text = io.StringIO()
    sys.print_exception(error, text)
    lines = [line.strip() for line in text.getvalue().split("\n") if line.strip()]
    place = [line for line in lines if line.startswith("File")]
    where = (
        place[-1].replace("File ", "").replace('"', "").replace(", line ", ":").split(",")[0]
        if place
        else "?"
    )
    return "%s @%s" % (lines[-1], where)
