"""What pytest does with a rig: without one, with one that lacks something, with one that must not lack anything."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from hil_tests.interface import Capability
from hil_tests.needing import missing, needs
from hil_tests.rig_plugin import NO_RIG
from hil_tests.virtual_rig import CHECKOUT
from zaehlwerk_tools.technician.firmware_build import build_firmware

RIG = """
[rig]
name = "bench"
[gateway]
id = "0016c001f1500001"
host = "127.0.0.1"
port = 1
[[node]]
name = "heltec"
board = "heltec_v3"
port = "/dev/no-such-port"
inputs = [7]
capabilities = ["gateway"]
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build") / "firmware"
    build_firmware(CHECKOUT / "firmware", CHECKOUT / "protocol" / "zaehlwerk_protocol", out)
    return out


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={folder / 'cache'}", *words],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_a_rig_is_required_and_none_is_there(tmp_path: Path) -> None:
    done = run(tmp_path, "hil_tests/suite", "--require-rig")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.strip() == f"ERROR: {NO_RIG}"


def test_what_the_rig_lacks_is_skipped_with_its_name_as_the_reason_and_fails_if_required(
    tmp_path: Path, build: Path
) -> None:
    path = tmp_path / "rig.toml"
    path.write_text(RIG)
    words = ["hil_tests/suite/test_nonces.py", "--hil", "--rig", str(path), "--build", str(build)]
    report = tmp_path / "report.xml"
    done = run(tmp_path, *words, f"--junitxml={report}")
    assert done.returncode == 0, done.stdout
    skipped = [case.find("skipped") for case in ET.parse(report).getroot().iter("testcase")]
    assert {case.get("message") for case in skipped if case is not None} == {"the rig has no power_switch"}
    assert len(skipped) == 2
    page = tmp_path / "report.html"
    done = run(tmp_path, *words, "--require-rig", f"--rig-report={page}")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "2 errors" in done.stdout
    assert "the rig has no power_switch" in done.stdout
    assert "rig bench, node heltec (heltec_v3)" in page.read_text()


def test_a_rig_that_is_described_wrongly_ends_the_run_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    path.write_text(RIG.replace("capabilities", "capabillities"))
    done = run(tmp_path, "hil_tests/suite", "--rig", str(path))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "[[node]] 1: capabilities is missing" in done.stderr


def test_a_need_that_nobody_has_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no such capability; known: pulse_generator"):
        needs("pulse_generater")


def test_what_is_missing_has_the_order_of_the_needs() -> None:
    there = frozenset({Capability.GATEWAY})
    assert missing(("power_switch", "gateway", "battery"), there) == ["power_switch", "battery"]
