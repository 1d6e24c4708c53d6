"""No key in anything that is written, whatever goes wrong."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.tests.service.chirpstack import KEY
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.rig import Rig
from zaehlwerk_bridge.check import check
from zaehlwerk_bridge.logs import make_logger
from zaehlwerk_bridge.redaction import Redactor

PASSWORD = "correct-horse-battery"


def test_known_secrets_are_blanked_in_every_part_of_a_line() -> None:
    out, redactor = io.StringIO(), Redactor()
    redactor.add(PASSWORD)
    log = make_logger(redactor, "info", out)
    log.info(
        PASSWORD,
        url=f"mqtt://u:{PASSWORD}@h",
        nested={"a": [PASSWORD, {PASSWORD: 1}]},
        error=ValueError(PASSWORD),
    )
    try:
        raise RuntimeError(f"connecting with {PASSWORD} failed")
    except RuntimeError:
        log.exception("broke")
    assert PASSWORD not in out.getvalue()
    assert out.getvalue().count("[redacted]") >= 6
    assert all(json.loads(line)["event"] for line in out.getvalue().splitlines())


def test_what_looks_like_a_token_is_blanked_although_nobody_named_it() -> None:
    assert KEY not in Redactor().text(f"Bearer {KEY} is wrong")


@given(st.text(min_size=4, max_size=20), st.text(), st.text())
def test_a_secret_never_survives(secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.add(secret)
    text = redactor.text(before + secret + after)
    assert secret not in text or secret in "[redacted]" or secret in before + "[redacted]" + after


@pytest.mark.parametrize("key_is_known", [True, False])
async def test_no_log_of_a_bridge_holds_key_or_password(
    rig: Rig, start_broker: Callable[..., Mosquitto], tmp_path: Path, key_is_known: bool
) -> None:
    """With everything wrong that makes libraries talk: refused by server and broker."""
    rig.broker = start_broker(options=["allow_anonymous false"])
    password_file = tmp_path / "password"
    password_file.write_text(PASSWORD)
    if not key_is_known:
        rig.server.keys = {"another"}
    changes = {"mqtt_username": "bridge", "mqtt_password_file": password_file}
    async with rig.bridge(ready=False, **changes) as bridge:
        with pytest.raises(Exception, match="not ready"):
            await bridge.ready(1)
        troubles = f"{bridge.source.trouble} {bridge.publisher.trouble} {bridge!r} {bridge.settings!r}"
    findings = await check(rig.settings(**changes), Redactor())
    for text in (rig.logged.getvalue(), troubles, repr(findings)):
        assert PASSWORD not in text
        assert KEY not in text
        assert KEY.split(".")[2] not in text
