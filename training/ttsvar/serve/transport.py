"""HTTP around a service: routing, authentication, size limits, keep-alive, orderly shutdown. Standard library only."""

from __future__ import annotations

import hmac
import json
import socket
import socketserver
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ttsvar.serve.connections import ANSWER_SECONDS, Connections
from ttsvar.serve.errors import ServeError, invalid
from ttsvar.serve.protocol import PREFIX, PROTOCOL
from ttsvar.serve.service import Answer, Service

MOST_CONNECTIONS = 128
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class SamplerServer(ThreadingHTTPServer):
    """Serves ``service`` at ``host:port`` (0: any free port); with ``token``, only to those who send it."""

    # Threads are waited for by `stop`, so that no answer is cut off.
    daemon_threads = False
    request_queue_size = 64

    def __init__(self, service: Service, host: str, port: int, token: str | None, quiet: bool = False):
        self.service, self.token, self.quiet = service, token, quiet
        self.connections = Connections()
        self._slots = threading.Semaphore(MOST_CONNECTIONS)
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://[{host}]:{port}" if ":" in str(host) else f"http://{host}:{port}"

    def server_bind(self) -> None:
        # Not HTTPServer's: it asks the name service for the host's name, which can take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self.connections.add(request, client_address[0])
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.remove(request)
            self._slots.release()

    def service_actions(self) -> None:
        """Called by the serving loop twice a second: late clients are hung up on, and forgotten sessions give their
        memory back without a request."""
        self.connections.expire()
        self.service.sessions.expire()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that went away is no failure of the server.
        if not isinstance(sys.exception(), ConnectionError):
            traceback.print_exc()

    def stop(self) -> None:
        """Answers requests that are complete, hangs up on everyone else, and frees the port. Not for the serving thread."""
        self.connections.stop()
        self.shutdown()
        while len(self.connections) > 0:
            self.connections.expire()
            time.sleep(0.05)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: SamplerServer
    protocol_version = "HTTP/1.1"
    server_version = PROTOCOL
    sys_version = ""
    timeout = ANSWER_SECONDS
    # One packet per answer, sent at once: calls take a millisecond, delayed acknowledgements forty.
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        self.server.connections.waits(self.connection)
        super().handle_one_request()

    def do_GET(self) -> None:  # noqa: N802
        self._respond(self._get)

    def do_POST(self) -> None:  # noqa: N802
        self._respond(self._post)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        if not self.server.quiet:
            super().log_request(code, size)

    def _get(self) -> Answer:
        if self.path != f"{PREFIX}info":
            raise self._not_served()
        self.server.connections.works(self.connection)
        return self.server.service.info

    def _post(self) -> Answer:
        body = self._body()
        self.server.connections.works(self.connection)
        if not self.path.startswith(PREFIX):
            raise self._not_served()
        return self.server.service.call(self.path.removeprefix(PREFIX), parse(body), body)

    def _not_served(self) -> ServeError:
        return ServeError(
            "unknown-method",
            f"{self.command} {self.path[:80]} is not served; this server speaks {PROTOCOL}: GET {PREFIX}info and POST "
            f"{PREFIX}CALL",
        )

    def _respond(self, work: Any) -> None:
        try:
            self._admit()
            self.server.connections.proves(self.connection)
            answer, status = work(), 200
        except ServeError as error:
            answer, status = error.body(), error.status
        except Exception as error:
            traceback.print_exc()
            problem = f"the server failed with {type(error).__name__}: {error}; see its log"
            failure = ServeError("failed", problem)
            answer, status = failure.body(), failure.status
        self._send(status, answer)

    def _admit(self) -> None:
        """Before anything of the body is read."""
        token = self.server.token
        if token is None:
            self._check_host()
        else:
            sent = self.headers.get("Authorization", "")
            # Compared as bytes in constant time: how long it takes says nothing about the token.
            if not hmac.compare_digest(sent.encode("utf-8", "replace"), f"Bearer {token}".encode()):
                self.close_connection = True
                raise ServeError("unauthorized", "the token is missing or wrong; send Authorization: Bearer TOKEN")

    def _check_host(self) -> None:
        """Without a token, a page in a browser on this machine must not get through by a name that points here."""
        host = self.headers.get("Host", "")
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if name not in LOOPBACK_NAMES:
            self.close_connection = True
            raise ServeError("wrong-host", f"without a token, only {', '.join(LOOPBACK_NAMES)} are served")

    def _body(self) -> bytes:
        # What is not read would be taken for the next request.
        self.close_connection, keep = True, self.close_connection
        if self.headers.get_content_type() != "application/json":
            raise invalid("send JSON, as Content-Type: application/json")
        length, most = self.headers.get("Content-Length", ""), self.server.service.limits.request_bytes
        if not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            raise invalid("send a Content-Length; chunks are not taken")
        if len(length) > 15 or int(length) > most:
            raise ServeError(
                "too-large", f"the request has {length[:20]} bytes, but this server takes {most} (--max-request-bytes)"
            )
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise invalid("the request ended early")
        self.close_connection = keep
        return body

    def _send(self, status: int, answer: Answer) -> None:
        binary = isinstance(answer, bytes)
        payload = answer if binary else json.dumps(answer, allow_nan=False).encode()
        self.server.connections.answers(self.connection)
        if self.server.connections.stopping:
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if binary else "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(payload)


def parse(body: bytes) -> Any:
    def refuse(name: str) -> Any:
        raise invalid(f"{name} is no JSON number")

    try:
        return json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise invalid("the body is no valid JSON") from error
