"""The sampler server over HTTP: stopping, failures inside, clients that misbehave."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading

import pytest
import torch

from serving import HANDLE, PROMPT, SCHEDULE, loaded, network  # noqa: F401 (loaded and network are fixtures)
from ttsvar.infinity.serving.loading import Loaded
from ttsvar.infinity.serving.loop import InfinityLoop
from ttsvar.infinity.serving.network import Network
from ttsvar.serve.connections import BODY_SECONDS, HEAD_SECONDS, IDLE_SECONDS, MOST_OF_PEER, Connections
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
    return Service(InfinityLoop(network, loaded, loaded.version), Limits())


def call(connection: http.client.HTTPConnection, method: str, body: dict) -> tuple[int, dict]:
    connection.request("POST", f"/v2/{method}", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def start_body(loaded: Loaded) -> dict:
    return {
        "session": HANDLE, "model": loaded.version, "shape": SCHEDULE, "settings": {}, "ids": ["c0"],
        "task": {"prompt": PROMPT, "seed": 1},
    }  # fmt: skip


def test_stopping_finishes_what_is_under_way_and_hangs_up_on_the_idle(loaded: Loaded, network: Network) -> None:
    running = Running(service_of(loaded, network))
    idle, busy = running.connect(), running.connect()
    idle.request("GET", "/v2/info")
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


def test_slow_clients_neither_keep_others_out_nor_the_server_from_stopping(loaded: Loaded, network: Network) -> None:
    token = "a-token-of-enough-length"
    running = Running(service_of(loaded, network), token)
    address = running.server.server_address[:2]
    slow = [socket.create_connection(address) for _ in range(160)]
    for index, client in enumerate(slow):
        with contextlib.suppress(ConnectionError):
            client.sendall(b"POST /v2/step HT" if index % 2 else b"")
    good = running.connect()
    good.request("GET", "/v2/info", headers={"Authorization": f"Bearer {token}"})
    assert good.getresponse().status == 200
    # Nor does one with a token that never sends its body, or half a request on a connection that was good.
    head = f"POST /v2/touch HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    halves = [socket.create_connection(address), good.sock]
    for half in halves:
        half.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    running.stop()
    for client in [*slow, *halves]:
        client.close()


def test_every_phase_of_a_connection_has_a_deadline_but_computing() -> None:
    now = [0.0]
    connections = Connections(lambda: now[0])
    here, there = zip(*(socket.socketpair() for _ in range(4)), strict=True)
    for connection in here:
        connections.add(connection, "peer")
    for connection in here[1:]:
        connections.proves(connection)
    for connection in here[2:]:
        connections.works(connection)
    connections.waits(here[3])

    def gone() -> list[bool]:
        connections.expire()
        for client in there:
            client.setblocking(False)
        return [ended(client) for client in there]

    assert gone() == [False] * 4
    seen = []
    for now[0] in (HEAD_SECONDS + 1, BODY_SECONDS + 1, IDLE_SECONDS + 1, 1e6):  # noqa: B007
        seen.append(gone())
    assert seen == [
        [True, False, False, False], [True, True, False, False], [True, True, False, True], [True, True, False, True],
    ]  # fmt: skip
    for each in (*here, *there):
        each.close()


def ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_the_oldest_unproven_connections_make_room() -> None:
    connections = Connections()
    pairs = [socket.socketpair() for _ in range(MOST_OF_PEER + 2)]
    connections.add(pairs[0][0], "peer")
    connections.proves(pairs[0][0])
    for here, _ in pairs[1:]:
        connections.add(here, "peer")
    for _, there in pairs:
        there.setblocking(False)
    assert [ended(there) for _, there in pairs] == [False, True, *[False] * MOST_OF_PEER]
    for pair in pairs:
        for each in pair:
            each.close()


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
    for bytes_sent in (b"", b"\x16\x03\x01\x02\x00", b"POST /v2/step HTTP/1.1\r\nContent-Length: 9\r\n"):
        with socket.create_connection(address) as client:
            client.sendall(bytes_sent)
    connection = running.connect()
    headers = {"Content-Type": "application/json", "Authorization": "Bearer a-token-of-enough-length"}
    for length in ("-1", "1e3", "9" * 20, "\u0663"):
        connection.putrequest("POST", "/v2/touch")
        for name, value in {**headers, "Content-Length": length.encode("utf-8")}.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status in (400, 413)
        connection.close()
    body = json.dumps({"sessions": []}).encode()
    connection.request("POST", "/v2/touch", body, headers)
    assert json.loads(connection.getresponse().read()) == {"gone": []}
    running.stop()
