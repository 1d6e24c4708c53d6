"""What the set-up left in a checkout's `.runtime/`: `tools.json` names each program with path, version and origin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def named_programs(checkout: Path) -> dict[str, Any]:
    """Program name to its entry, or to None where this machine lacks it; empty where no set-up has run."""
    try:
        programs = json.loads((checkout / ".runtime" / "tools.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return programs if isinstance(programs, dict) else {}
