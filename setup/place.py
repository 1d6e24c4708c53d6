"""Where things are in a checkout, and the environment that child processes get there."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from setup.console import Problem


@dataclass(frozen=True)
class Place:
    """The paths of one checkout."""

    root: Path

    @property
    def runtime(self) -> Path:
        """Everything made here that is not the virtual environment."""
        return self.root / ".runtime"

    @property
    def bin(self) -> Path:
        """The programs that tests and simulator start: micropython, micropython32, mosquitto, node."""
        return self.runtime / "bin"

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        """The virtual environment's interpreter."""
        return self.venv / "bin" / "python"

    @property
    def lock(self) -> Path:
        """The lock file: every package with its hashes."""
        return self.root / "requirements.lock"

    def require_writable(self) -> None:
        """Raise Problem if this user may not write here: a checkout can belong to somebody else."""
        try:
            self.runtime.mkdir(exist_ok=True)
        except OSError as error:
            raise Problem(
                f"cannot write to {self.root}: {error.strerror}. Use a checkout of your own."
            ) from None
        for path in (self.runtime, self.venv):
            if path.exists() and not os.access(path, os.W_OK):
                raise Problem(
                    f"{path} belongs to another user, who has to run the set-up. Or use a checkout of your own."
                )


def child_environment(place: Place, environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` fit for pip, uv and npm.

    A user without a home directory gets one in `.runtime/`; what pip was told about the way to the packages holds
    for uv too, which reads none of pip's settings.
    """
    child = dict(environ)
    home = child.get("HOME")
    if not (home and Path(home).is_dir() and os.access(home, os.W_OK)):
        own = place.runtime / "home"
        own.mkdir(parents=True, exist_ok=True)
        child["HOME"] = str(own)
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_BIN_HOME"):
            child.pop(name, None)
    cache = Path(child.get("XDG_CACHE_HOME") or f"{child['HOME']}/.cache")
    if "UV_CACHE_DIR" not in child and not _can_make(cache / "uv"):
        child["UV_CACHE_DIR"] = str(place.runtime / "cache" / "uv")
    for pip, uv in (
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
        ("PIP_CERT", "SSL_CERT_FILE"),
    ):
        if child.get(pip) and uv not in child:
            child[uv] = child[pip]
    # A city's proxy is trusted by the system, not by the lists that uv and Node.js carry; older Node.js takes a file.
    child.setdefault("UV_SYSTEM_CERTS", "1")
    child.setdefault("NODE_USE_SYSTEM_CA", "1")
    certificates = child.get("PIP_CERT") or ssl.get_default_verify_paths().cafile
    if certificates:
        child.setdefault("NODE_EXTRA_CA_CERTS", certificates)
    child.setdefault("UV_HTTP_TIMEOUT", "60")
    child.setdefault("UV_HTTP_RETRIES", "5")
    child.setdefault("UV_PYTHON_DOWNLOADS", "never")
    child.setdefault("UV_NO_PROGRESS", "1")
    # The set-up names every path itself; a virtual environment that happens to be active must not be touched.
    for name in (
        "VIRTUAL_ENV",
        "PYTHONHOME",
        "PYTHONPATH",
        "PIP_TARGET",
        "PIP_USER",
        "PIP_REQUIRE_VIRTUALENV",
    ):
        child.pop(name, None)
    return child


def _can_make(directory: Path) -> bool:
    """Whether `directory` is writable or could be made below its nearest existing parent."""
    nearest = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK)
