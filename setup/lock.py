"""`make lock`: resolve the workspace's dependencies into `requirements.lock`.

uv's own lock file names the hosts that were asked, which is nobody's business but theirs who asked; so it is not
kept in the repository, and the exported list of versions and hashes is what binds.
"""

from __future__ import annotations

from collections.abc import Mapping

from setup import child, installer
from setup.console import Problem, say, step
from setup.place import Place, child_environment
from setup.stamp import write_whole

_SECONDS = 600
_EXPORT = (
    *("export", "--quiet", "--frozen", "--all-packages", "--all-extras", "--all-groups"),
    *("--no-emit-workspace", "--no-header", "--format", "requirements-txt"),
)
_HEADER = """\
# All packages with their hashes, for CPython 3.11 to 3.14. Made by `make lock`; do not edit.
# One list for every room: the set-up installs the groups `stubs` and `fallback` of pyproject.toml apart.
"""


def renew(place: Place, environ: Mapping[str, str], *, upgrade: bool) -> None:
    """Write the lock file anew, keeping the versions it has unless `upgrade`; raise Problem if nothing fits."""
    place.require_writable()
    uv = installer.uv(place, environ)
    env = child_environment(place, environ)
    with step("lock file"):
        try:
            child.run(
                [*uv, "lock", *(["--upgrade"] if upgrade else [])], seconds=_SECONDS, env=env, cwd=place.root
            )
            text = child.run(
                [*uv, *_EXPORT],
                seconds=_SECONDS,
                env=env,
                cwd=place.root,
            )
        except child.Failed as error:
            raise Problem(f"the lock file could not be made: {error}") from None
        if "://" in text:
            raise Problem(
                "uv wrote an address into the list; the lock file must not name where packages came from."
            )
        write_whole(place.lock, _HEADER + text)
    say(f"{place.lock.name} holds {sum(line[:1].isalnum() for line in text.splitlines())} packages")
