"""The files that the settings name: who may read what is secret, and until when certificates are good."""

import datetime as dt
import stat
from collections.abc import Iterator
from pathlib import Path

from zaehlwerk_bridge.check_certificate import SOON, CertificateError, valid_until
from zaehlwerk_bridge.check_finding import Findings
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.settings import Section, Settings


def check_files(settings: Settings, redactor: Redactor) -> Findings:
    """Look at modes and dates. Whether what is in them is right is seen by who connects with it."""
    findings = Findings("files", redactor)
    for setting, path in _secrets(settings).items():
        if path is not None:
            _mode(findings, setting, path)
    for section, cert_file, key_file in _certificates(settings):
        _dates(findings, f"{section}.cert_file", cert_file, key_file)
    return findings


def _secrets(settings: Settings) -> dict[str, Path | None]:
    """Every setting that names a file with something secret in it."""
    return {
        f"{section}.{name}": getattr(part, name)
        for section, part in settings
        if isinstance(part, Section)
        for name in type(part).model_fields
        if name.endswith(("key_file", "password_file"))
    }


def _certificates(settings: Settings) -> Iterator[tuple[str, Path, Path]]:
    for section, part in settings:
        cert_file, key_file = getattr(part, "cert_file", None), getattr(part, "key_file", None)
        if cert_file is not None and key_file is not None:
            yield section, cert_file, key_file


def _mode(findings: Findings, setting: str, path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        findings.wrong(
            setting, f"{path}: {error.strerror}", "the setting has to name a file that can be read"
        )
        return
    if mode & stat.S_IRWXO:
        findings.note(setting, f"{path}: everybody on this machine may read it", f"chmod o= {path}")
    else:
        findings.ok(setting, f"{path}: mode {stat.S_IMODE(mode):04o}")


def _dates(findings: Findings, setting: str, cert_file: Path, key_file: Path) -> None:
    try:
        until = valid_until(cert_file, key_file)
    except CertificateError as error:
        findings.wrong(setting, f"{cert_file}: {error}", "put a new certificate and its key in their places")
        return
    text = f"{cert_file}: good until {until:%Y-%m-%d}"
    if until - dt.datetime.now(dt.UTC) < SOON:
        findings.note(setting, text, "replace it; the bridge needs no restart for it")
    else:
        findings.ok(setting, text)
