"""The one error of the API side: a gRPC status as ChirpStack would give it."""

from __future__ import annotations

import grpc


class ApiError(Exception):
    """A call that fails with `code` and `details`; the text is ChirpStack's own."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details


def not_found(identity: str) -> ApiError:
    """Something with this id is not there."""
    return ApiError(grpc.StatusCode.NOT_FOUND, f"Object does not exist (id: {identity})")


def invalid(details: str) -> ApiError:
    """An argument is wrong."""
    return ApiError(grpc.StatusCode.INVALID_ARGUMENT, details)


def internal(details: str) -> ApiError:
    """What ChirpStack's database, or its reading of hexadecimal digits, refuses."""
    return ApiError(grpc.StatusCode.INTERNAL, details)


def unauthenticated(details: str = "") -> ApiError:
    """No key, a wrong one, or one that may not do this: ChirpStack tells the last case by empty details only."""
    return ApiError(grpc.StatusCode.UNAUTHENTICATED, details)
