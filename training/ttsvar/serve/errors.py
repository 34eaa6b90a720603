"""Errors that a client is told, with the HTTP status of each code."""

from __future__ import annotations

from typing import Any

STATUS = {
    "invalid-request": 400,
    "unauthorized": 401,
    "wrong-host": 403,
    "unknown-session": 404,
    "unknown-method": 404,
    "conflict": 409,
    "model-changed": 409,
    "too-large": 413,
    "failed": 500,
    "busy": 503,
    "stopping": 503,
    "out-of-memory": 507,
}


class ServeError(Exception):
    """A refusal or failure: a code of :data:`STATUS`, what was wrong and what to do."""

    def __init__(self, code: str, message: str, **details: Any):
        super().__init__(message)
        self.code, self.message, self.details = code, message, details

    @property
    def status(self) -> int:
        return STATUS[self.code]

    def body(self) -> dict:
        return {"error": {"code": self.code, "message": self.message, "details": self.details}}


def invalid(message: str) -> ServeError:
    return ServeError("invalid-request", message)
