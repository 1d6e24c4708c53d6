"""`python3 -m setup`: prepare this checkout, or do nothing if it is prepared already."""

import sys

if sys.version_info < (3, 11):  # before any import that an older Python could not even parse
    sys.stderr.write(
        "set-up: Python %d.%d is too old, 3.11 or newer is needed. Name one: make PYTHON=python3.12 …\n"
        % sys.version_info[:2]
    )
    raise SystemExit(2)

from setup.command import main

raise SystemExit(main(sys.argv[1:]))
