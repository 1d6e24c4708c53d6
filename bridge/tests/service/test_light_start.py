"""What a bridge has in memory that it does not need: a process beside ten thousand streams is kept small."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"redis", "cryptography", "sqlalchemy", "psycopg", "jsonschema"}


def test_the_program_with_the_grpc_source_does_without_what_other_sources_databases_and_checks_need() -> None:
    asked = "import sys, zaehlwerk_bridge.cli, zaehlwerk_bridge.sources.grpc; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert "zaehlwerk_bridge.cli_check" in answer.stdout.split()
    assert HEAVY.isdisjoint(answer.stdout.split())
