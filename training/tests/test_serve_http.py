"""The sampler server over HTTP: stopping, failures inside, clients that misbehave."""

from __future__ import annotations

import http.client
import json
import socket
import threading

import pytest
import torch

from serving import HANDLE, PROMPT, loaded, network  # noqa: F401 (loaded and network are fixtures)
from ttsvar.infinity.serving.description import describe
from ttsvar.infinity.serving.loading import Loaded
from ttsvar.infinity.serving.loop import InfinityLoop
from ttsvar.infinity.serving.network import Network
from ttsvar.serve.service import Limits, Service
from ttsvar.serve.transport import SamplerServer


class Running:
    """A server in this process."""

    def __init__(self, service: Service, token: str | None = None):
        self.server = SamplerServer(service, "127.0.0.1", 0, token, quiet=True)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self.server.server_address[:2], timeout=60)

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(60)
        assert not self.thread.is_alive()


def service_of(loaded: Loaded, network: Network) -> Service:
    return Service(InfinityLoop(network, loaded.shapes, describe(loaded, loaded.version)), Limits())


def call(connection: http.client.HTTPConnection, method: str, body: dict) -> tuple[int, dict]:
    connection.request("POST", f"/v1/{method}", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def start_body(loaded: Loaded) -> dict:
    settings = describe(loaded, "")["schedules"][0]["defaults"]
    return {
        "session": HANDLE, "model": loaded.version, "prompt": PROMPT, "seed": 1, "ids": ["c0"], "settings": settings,
    }  # fmt: skip


def test_stopping_finishes_what_is_under_way_and_hangs_up_on_the_idle(loaded: Loaded, network: Network) -> None:
    running = Running(service_of(loaded, network))
    idle, busy = running.connect(), running.connect()
    idle.request("GET", "/v1/info")
    assert json.loads(idle.getresponse().read())["version"] == loaded.version
    assert call(busy, "start", start_body(loaded)) == (200, {"revision": 0})
    entered, leave = threading.Event(), threading.Event()
    compute = network.run

    def held(*values: object) -> object:
        entered.set()
        assert leave.wait(60)
        return compute(*values)

    answers: list[tuple[int, dict]] = []
    step = threading.Thread(target=lambda: answers.append(call(busy, "step", {"session": HANDLE, "revision": 0})))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "run", held)
        step.start()
        assert entered.wait(60)
        stopping = threading.Thread(target=running.stop)
        stopping.start()
        # The idle connection ends while the busy one still computes.
        assert idle.sock.recv(1) == b""
        assert step.is_alive() and stopping.is_alive()
        leave.set()
        step.join(60)
        stopping.join(60)
    assert answers[0][0] == 200 and answers[0][1]["stage"] == 1
    with pytest.raises(ConnectionRefusedError):
        running.connect().connect()


def test_failures_inside_are_answered_and_survived(loaded: Loaded, network: Network) -> None:
    running = Running(service_of(loaded, network))
    connection = running.connect()
    assert call(connection, "start", start_body(loaded))[0] == 200
    step = {"session": HANDLE, "revision": 0}
    for error, code in (
        (torch.OutOfMemoryError("CUDA out of memory"), "out-of-memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "out-of-memory"),
        (KeyError("bug"), "failed"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(network, "run", lambda *_, error=error: (_ for _ in ()).throw(error))
            assert call(connection, "step", step)[1]["error"]["code"] == code
    assert call(connection, "step", step)[1]["revision"] == 1
    running.stop()


def test_a_client_that_says_nothing_or_nonsense_is_no_trouble(loaded: Loaded, network: Network) -> None:
    running = Running(service_of(loaded, network), token="a-token-of-enough-length")
    address = running.server.server_address[:2]
    for bytes_sent in (b"", b"\x16\x03\x01\x02\x00", b"POST /v1/step HTTP/1.1\r\nContent-Length: 9\r\n"):
        with socket.create_connection(address) as client:
            client.sendall(bytes_sent)
    connection = running.connect()
    headers = {"Content-Type": "application/json", "Authorization": "Bearer a-token-of-enough-length"}
    for length in ("-1", "1e3", "9" * 20, "\u0663"):
        connection.putrequest("POST", "/v1/touch")
        for name, value in {**headers, "Content-Length": length.encode("utf-8")}.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status in (400, 413)
        connection.close()
    body = json.dumps({"sessions": []}).encode()
    connection.request("POST", "/v1/touch", body, headers)
    assert json.loads(connection.getresponse().read()) == {"gone": []}
    running.stop()
