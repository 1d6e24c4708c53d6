"""API keys: JSON Web Tokens with ChirpStack's claims, and what a key may do.

A key's token is `Bearer` metadata of each call. Its rights are the admin's, a tenant's, or either of them read-only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from .errors import unauthenticated

_HEADER = {"typ": "JWT", "alg": "HS256"}
_PREFIX = "Bearer "


@dataclass(frozen=True)
class ApiKey:
    """A key: `tenant_id` None is the admin's. Holds no secret; the token is made from its id."""

    id: str
    tenant_id: str | None
    read_only: bool = False


@dataclass(frozen=True)
class Caller:
    """Who makes a call: a key, or nobody (`key` None), which every method that is asked refuses."""

    key: ApiKey | None

    @property
    def key_id(self) -> str:
        """Id of the key, empty for nobody."""
        return self.key.id if self.key else ""

    def require(self, tenant_id: str | None, *, write: bool) -> None:
        """Refuse unless this is an admin key or one of `tenant_id`, and writable if `write`.

        `tenant_id` None is that of a thing that does not exist. ApiError UNAUTHENTICATED; its details are empty if there
        is a key that may not.
        """
        key = self.require_key()
        if key.tenant_id not in (None, tenant_id) or (write and key.read_only):
            raise unauthenticated()

    def require_admin(self, *, write: bool) -> None:
        """Refuse all but an admin key."""
        key = self.require_key()
        if key.tenant_id is not None or (write and key.read_only):
            raise unauthenticated()

    def require_key(self) -> ApiKey:
        """Refuse a call without a key."""
        if self.key is None:
            raise unauthenticated("no authorization provided")
        return self.key


class ApiKeys:
    """The keys of a server. Tokens are signed with `secret`."""

    def __init__(self, secret: bytes, new_id: Callable[[], str]) -> None:
        self._secret = secret
        self._new_id = new_id
        self._keys: dict[str, ApiKey] = {}

    def create(self, tenant_id: str | None, *, read_only: bool = False) -> str:
        """A new key's token; `tenant_id` None makes an admin key."""
        key = ApiKey(self._new_id(), tenant_id, read_only)
        self._keys[key.id] = key
        claims = {"aud": "chirpstack", "iss": "chirpstack", "sub": key.id, "typ": "key"}
        signed = f"{_encode(json.dumps(_HEADER).encode())}.{_encode(json.dumps(claims).encode())}"
        return f"{signed}.{_encode(self._signature(signed))}"

    def key_id(self, token: str) -> str:
        """Id of the key that a token stands for; ApiError UNAUTHENTICATED for a wrong one."""
        signed, dot, signature = token.rpartition(".")
        if not dot or signed.count(".") != 1:
            raise unauthenticated("InvalidToken")
        try:
            given = _decode(signature)
            claims = json.loads(_decode(signed.partition(".")[2]))
            subject = str(uuid.UUID(claims["sub"]))
        except (binascii.Error, ValueError, KeyError, TypeError):
            raise unauthenticated("InvalidToken") from None
        if not hmac.compare_digest(given, self._signature(signed)):
            raise unauthenticated("InvalidSignature")
        return subject

    def caller(self, authorization: str | None) -> Caller:
        """Who a call's `authorization` metadata names; ApiError UNAUTHENTICATED if it is there and wrong."""
        if authorization is None:
            return Caller(None)
        if not authorization.startswith(_PREFIX):
            raise unauthenticated("authorization metadata must be in format 'Bearer <TOKEN>")
        key = self._keys.get(self.key_id(authorization.removeprefix(_PREFIX)))
        if key is None:
            raise unauthenticated()
        return Caller(key)

    def _signature(self, signed: str) -> bytes:
        return hmac.new(self._secret, signed.encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
