"""Until when a certificate is good, by TLS with oneself: the standard library reads no certificate otherwise."""

import datetime as dt
import ssl
from pathlib import Path

SOON = dt.timedelta(days=21)
"""Whoever has to ask another office for a certificate needs weeks."""


class CertificateError(Exception):
    """A certificate that cannot be used, the text says why."""


def valid_until(cert_file: Path, key_file: Path) -> dt.datetime:
    """Return when the client certificate ends, UTC. Raises CertificateError: unreadable, not yet or no longer valid."""
    try:
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        own.check_hostname = False
        own.verify_mode = ssl.CERT_NONE  # the peer is this function
        own.load_cert_chain(cert_file, key_file)
        peer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        peer.load_cert_chain(cert_file, key_file)
        # It vouches for itself: whether somebody else does is the broker's to say.
        peer.load_verify_locations(cert_file)
        peer.verify_mode = ssl.CERT_REQUIRED
        peer.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = own.wrap_bio(back, there)
        server = peer.wrap_bio(there, back, server_side=True)
        for _ in range(4):  # flights of a handshake: TLS 1.3 needs two each
            for side in (client, server):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        return not_after(server.getpeercert())
    except ssl.SSLCertVerificationError as error:
        raise CertificateError(error.verify_message) from None
    except (OSError, ValueError) as error:
        raise CertificateError(
            getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        ) from None


def not_after(certificate: object) -> dt.datetime:
    """When a certificate ends, of what `getpeercert` says. Raises ValueError if it says nothing."""
    end = certificate.get("notAfter") if isinstance(certificate, dict) else None
    if not isinstance(end, str):
        raise ValueError("nothing is said of its end")  # noqa: TRY004 - a certificate, not an argument, is wrong
    return dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(end), dt.UTC)
