"""The sampler server: keyed draws as the TypeScript package's, candidates against the reference sampler, sessions,
HTTP, and, through the package's own contract suites, agreement with the ONNX sampler on the same weights."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from serve_infinity import is_loopback, main, read_token
from ttsvar.infinity import sample
from ttsvar.infinity.generator import Bundle, Generator
from ttsvar.infinity.layers import explicit_attention
from ttsvar.official import keys, tiny
from ttsvar.official.errors import ExportError
from ttsvar.official.placement import DTYPES, Storage
from ttsvar.official.text_folder import write_tiny_tokenizer
from ttsvar.serve.description import describe
from ttsvar.serve.draw import draw_bits
from ttsvar.serve.errors import ServeError
from ttsvar.serve.fields import bits_from, bits_to
from ttsvar.serve.keyed import KeyedRandom, philox
from ttsvar.serve.loading import Loaded, Placement, load_official, load_parts, load_tiny
from ttsvar.serve.network import Network, fused_attention
from ttsvar.serve.population import Population, Request
from ttsvar.serve.service import Limits, Service
from ttsvar.serve.sessions import SessionStore, digest
from ttsvar.serve.transport import SamplerServer

ROOT = Path(__file__).resolve().parents[2]
VECTORS = json.loads((ROOT / "test/fixtures/remote/draws.json").read_text(encoding="utf-8"))
SCHEDULE = "2:1@0.06M"
PROMPT = "a photo of two red cars"
HANDLE = "a" * 32


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load_tiny("square", SCHEDULE, Placement())


@pytest.fixture(scope="module")
def network(loaded: Loaded) -> Network:
    return Network(loaded, Placement())


def request(loaded: Loaded, **change: object) -> Request:
    shape = loaded.shapes[0]
    return Request(**{"shape": shape, "prompt": PROMPT, "negative": None, "seed": 3, "settings": shape.defaults, **change})


def finish(population: Population, until: int = 7) -> Population:
    while population.stage < until:
        population, _ = population.step()
    return population


# Randomness and draws: numbers recorded from src/core/rng.ts and src/samplers/infinity/draw.ts


@pytest.mark.parametrize(
    ("counter", "key", "wanted"),
    [  # known answers of Random123
        ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, (0xFFFFFFFF,) * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], (0xA4093822, 0x299F31D0),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)  # fmt: skip
def test_philox(counter: list[int], key: tuple[int, int], wanted: list[int]) -> None:
    assert philox(np.array([counter, counter]), key).tolist() == [wanted, wanted]


@pytest.mark.parametrize("stream", VECTORS["streams"], ids=lambda stream: repr(stream["seed"]))
def test_keyed_uniforms_are_the_packages(stream: dict) -> None:
    values = KeyedRandom(stream["seed"], stream["prompt"]).uniforms(stream["id"], stream["scale"], stream["count"])
    assert (values * 2**32).tolist() == stream["words"]


@pytest.mark.parametrize("case", VECTORS["draws"], ids=lambda case: json.dumps(case["settings"]))
def test_draws_are_the_packages(case: dict) -> None:
    cond = np.array(case["cond"], np.float32)
    uncond = None if case["uncond"] is None else np.array(case["uncond"], np.float32)
    settings = case["settings"]
    rule = (settings["guidance"], settings["temperature"], settings["topP"])
    uniforms = KeyedRandom(case["seed"], case["prompt"]).uniforms(case["id"], case["scale"], len(cond))
    drawn = draw_bits(cond, uncond, *rule, uniforms, None, settings.get("topK"))
    assert bits_to(drawn.bits) == case["bits"]
    for name, value in (("logProb", drawn.log_prob), ("entropy", drawn.entropy), ("guidanceGap", drawn.guidance_gap)):
        assert value == pytest.approx(case[name], rel=1e-12)
    opposite = draw_bits(cond, uncond, *rule, None, 1 - bits_from(case["bits"]))
    assert opposite.log_prob == pytest.approx(case["oppositeLogProb"], rel=1e-12)


def test_logits_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(FloatingPointError, match="position 1"):
        draw_bits(np.array([0, np.nan], np.float32), None, 1, 1, 1, np.zeros(2))


# Candidates


def test_the_same_bits_give_the_logits_and_codes_of_the_reference_sampler() -> None:
    for kind in ("square", "patchify"):
        loaded = load_tiny(kind, SCHEDULE, Placement())
        shape = loaded.shapes[0]
        generator = Generator(loaded.model.config, loaded.text.config).eval()
        generator.model.load_state_dict(loaded.model.state_dict())
        generator.text.load_state_dict(loaded.text.state_dict())
        bundle = Bundle(generator, loaded.vae, shape.quantizer, shape.schedule, {})
        trace, settings = sample.Trace(), sample.Settings([3.0] * 7, [0.5] * 7)
        reference_ids = {"encode": lambda _, text, tokenize=loaded.tokenize: tokenize(text)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sample, "Tokenizer", type("Tokenizer", (), reference_ids))
            latents = sample.sample(bundle, [PROMPT], 1, settings, fast=False, trace=trace)
        forced = [bits.flatten().to(torch.uint8).numpy() for bits in trace.bits]
        network, seen = Network(loaded, Placement()), []
        population = Population.begin(network, request(loaded, forced=forced), ["c0"])
        for scale in range(7):
            row = population.rows[0]
            delta, _ = network.stage(population.condition, shape, scale, [row.code], [row.past], 2)
            seen.append(np.abs(delta.reshape(2, -1) - trace.deltas[scale].flatten(1).numpy()).max())
            population, _ = population.step()
        assert max(seen) < 1e-4
        assert torch.allclose(population.rows[0].code, latents[0, 0], atol=1e-5)


def test_a_candidate_does_not_depend_on_who_else_is_there(loaded: Loaded, network: Network) -> None:
    together = finish(Population.begin(network, request(loaded), ["c0", "c1", "c2"]))
    alone = finish(Population.begin(network, request(loaded), ["c1"]))
    assert torch.equal(together.rows[1].code, alone.rows[0].code)
    assert np.array_equal(together.decode([2, 1], (16, 8))[1], alone.decode([0], (16, 8))[0])


def test_passes_of_several_candidates_agree_up_to_rounding(loaded: Loaded, network: Network) -> None:
    wide = Network(loaded, Placement(rows=2))
    forced = [row for row in finish(Population.begin(network, request(loaded), ["c4"])).rows[0].bits]
    results = []
    for each in (network, wide):
        population = finish(Population.begin(each, request(loaded, forced=forced[:3]), ["c0", "c1", "c2"]), 5)
        population = population.pick([(2, "c2"), (0, "c0"), (2, "c2.1")])
        rows = population.rows
        codes, past = [row.code for row in rows], [row.past for row in rows]
        results.append(each.stage(population.condition, loaded.shapes[0], 5, codes, past, 2)[0])
    assert np.abs(results[0] - results[1]).max() < 1e-4


def test_picking_copies_no_keys_or_values(loaded: Loaded, network: Network) -> None:
    population = finish(Population.begin(network, request(loaded), ["c0", "c1", "c2"]), 3)
    picked = population.pick([(2, "c2"), (2, "c2.1")])
    assert [row.id for row in picked.rows] == ["c2", "c2.1"]
    assert all(row.past is population.rows[2].past for row in picked.rows)
    # The first scale is computed once for all, the last one's keys and values are not kept.
    assert len({id(row.past[0].piece) for row in population.rows}) == 1
    assert len(finish(picked).rows[0].past) == 6


def test_fused_attention_is_attention() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 4, 5, 16), torch.randn(2, 4, 9, 16), torch.randn(2, 4, 9, 16)
    assert torch.allclose(fused_attention(q, k, v, None, 1.0), explicit_attention(q, k, v, None, 1.0), atol=1e-5)


def test_low_precision_stays_close() -> None:
    place = Placement(dtype=torch.bfloat16)
    loaded, exact = load_tiny("square", SCHEDULE, place), load_tiny("square", SCHEDULE, Placement())
    low, full = Network(loaded, place), Network(exact, Placement())
    assert loaded.model.blocks[0].ffn.fc1.weight.dtype == torch.bfloat16
    deltas = []
    for network, model in ((low, loaded), (full, exact)):
        forced = [np.arange(model.shapes[0].bit_count(scale), dtype=np.uint8) % 2 for scale in range(7)]
        population = finish(Population.begin(network, request(model, forced=forced), ["c0"]), 4)
        row = population.rows[0]
        deltas.append(network.stage(population.condition, model.shapes[0], 4, [row.code], [row.past], 2)[0])
        image = population.decode([0], (22, 11))
        assert image.shape == (1, 88, 44, 3)
    error = np.sqrt(np.square(deltas[0] - deltas[1]).mean() / np.square(deltas[1]).mean())
    assert 0 < error < 0.05


def test_official_files_are_served(tmp_path: Path, loaded: Loaded, network: Network, monkeypatch) -> None:  # noqa: ANN001
    parts = tiny.tiny_parts("square")
    for name, source in (("t", parts.transformer_weights), ("v", parts.vae_weights), ("text", parts.text_weights)):
        state = {key: source.read(key) for key in source.shapes}
        if name == "text":
            (tmp_path / name).mkdir()
            write_tiny_tokenizer(tmp_path / name, parts.text_config, 32)
            save_file(state, tmp_path / name / "model.safetensors")
        else:
            torch.save({"vae": state} if name == "v" else state, tmp_path / f"{name}.pth")
    # The smallest official type would be half a gigabyte.
    monkeypatch.setattr(keys, "VARIANTS", {"tiny": parts.variant})
    place = Placement()
    official = load_official(tmp_path / "t.pth", tmp_path / "v.pth", tmp_path / "text", SCHEDULE, place)
    assert official.name == "tiny" and official.version.startswith("tiny@") and official.version != loaded.version
    assert [shape.id for shape in official.shapes[:2]] == [SCHEDULE, "1:1@0.06M"] and len(official.shapes) == 60
    assert official.flops == loaded.flops
    finished = [
        finish(Population.begin(each, request(model), ["c0"]), 4)
        for each, model in ((Network(official, place), official), (network, loaded))
    ]
    assert torch.equal(finished[0].rows[0].code, finished[1].rows[0].code)


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ExportError, match="2:1@1M"):
        load_parts(tiny.tiny_parts("square"), list, "7:1@1M", Placement())


# Sessions


def population_at(stage: int) -> Population:
    return Population(None, None, None, (), stage)


def test_repeated_changes_are_answered_once() -> None:
    store = SessionStore(most=2, idle_seconds=10)
    made: list[int] = []

    def step(before: Population) -> tuple[Population, dict]:
        made.append(before.stage)
        return population_at(before.stage + 1), {"stage": before.stage + 1}

    store.open(HANDLE, b"start", lambda: (population_at(0), {"revision": 0}))
    for _ in range(3):
        assert store.change(HANDLE, 0, b"step", step) == {"revision": 1, "stage": 1}
    assert made == [0]
    with pytest.raises(ServeError, match="revision 1"):
        store.change(HANDLE, 0, b"another", step)


def test_a_failed_change_leaves_the_session_as_it_was() -> None:
    store = SessionStore(most=2, idle_seconds=10)
    store.open(HANDLE, b"start", lambda: (population_at(0), {"revision": 0}))
    with pytest.raises(ZeroDivisionError):
        store.change(HANDLE, 0, b"step", lambda _: 1 // 0)
    assert store.at(HANDLE, 0).population.stage == 0
    assert store.change(HANDLE, 0, b"step", lambda _: (population_at(1), {})) == {"revision": 1}


def test_idle_sessions_expire_and_used_ones_do_not() -> None:
    now = [0.0]
    store = SessionStore(most=2, idle_seconds=10, clock=lambda: now[0])
    for handle in ("used", "touched"):
        store.open(handle, b"start", lambda: (population_at(0), {"revision": 0}))
    with pytest.raises(ServeError, match="all 2 sessions are in use"):
        store.open("third", b"start", lambda: (population_at(0), {"revision": 0}))
    now[0] = 8
    store.find("used")
    now[0] = 16
    assert store.touch(["used", "touched"]) == ["touched"]
    with pytest.raises(ServeError, match="idle for more than 10 s"):
        store.find("touched")

    def slow(_: Population) -> tuple[Population, dict]:
        now[0] += 100
        store.expire()
        return population_at(1), {}

    assert store.change("used", 0, digest("step", b""), slow) == {"revision": 1}
    assert store.find("used").population.stage == 1


# HTTP


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
    return Service(network, loaded.shapes, describe(loaded, loaded.version), Limits())


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
    compute = network.stage

    def held(*values: object) -> object:
        entered.set()
        assert leave.wait(60)
        return compute(*values)

    answers: list[tuple[int, dict]] = []
    step = threading.Thread(target=lambda: answers.append(call(busy, "step", {"session": HANDLE, "revision": 0})))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "stage", held)
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
            patch.setattr(network, "stage", lambda *_, error=error: (_ for _ in ()).throw(error))
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


def test_tokens_are_read_and_weak_ones_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TTSVAR_TOKEN", "TTSVAR_SAMPLER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert read_token(None) is None
    monkeypatch.setenv("TTSVAR_SAMPLER_TOKEN", "the-clients-variable")
    assert read_token(None) == "the-clients-variable"
    monkeypatch.setenv("TTSVAR_TOKEN", "the-servers-variable")
    assert read_token(None) == "the-servers-variable"
    (tmp_path / "token").write_text("from-a-file-0123456\nand more\n")
    assert read_token(tmp_path / "token") == "from-a-file-0123456"
    for weak in ("short", "with spaces in a long token", ""):
        (tmp_path / "token").write_text(weak)
        with pytest.raises(SystemExit, match="token"):
            read_token(tmp_path / "token")
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.com")] == [
        True, True, True, False, False,
    ]  # fmt: skip


# The program, and the package's contract suites against it


class Program:
    """A running serve_infinity.py."""

    def __init__(self, *options: str, token: str | None = None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TTSVAR_")}
        # OpenMP's spinning threads would keep the other servers of the test from computing.
        environment |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "PYTHONUNBUFFERED": "1"}
        if token:
            environment["TTSVAR_TOKEN"] = token
        self.token = token
        self.process = subprocess.Popen(
            [sys.executable, "serve_infinity.py", "--port", "0", "--quiet", *options],
            cwd=ROOT / "training", env=environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def url(self) -> str:
        return self.process.stdout.readline().strip()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny")
    for kind in ("square", "patchify"):
        tiny.write(kind, out / kind, Storage(DTYPES["fp32"]), ("0.06M",))
    return out


@pytest.fixture(scope="module")
def programs() -> Iterator[dict[str, Program]]:
    started = {
        "square": Program("--random-tiny", "square", "--max-rows", "8", token="a-token-of-enough-length"),
        "patchify": Program("--random-tiny", "patchify"),
        "embedded": Program("--embedded", str(ROOT / "models/generator")),
    }
    yield started
    for program in started.values():
        program.process.kill()
        program.process.wait()


def test_the_packages_contract_suites_pass_and_onnx_runtime_agrees(
    folders: Path, programs: dict[str, Program], tmp_path: Path
) -> None:
    schedules = {"square": SCHEDULE, "patchify": "2:3@0.06M", "embedded": "1:1"}
    places = {"embedded": ROOT / "models/generator"}
    servers = [
        {
            "name": name, "url": program.url(), "token": program.token, "schedule": schedules[name],
            "folder": str(places.get(name, folders / name)),
        }
        for name, program in programs.items()
    ]  # fmt: skip
    node = shutil.which("node")
    assert node, "Node.js is needed: the contract suites are TypeScript"
    report = tmp_path / "report.json"
    run = subprocess.run(
        [node, "node_modules/vitest/vitest.mjs", "run", "--config", "test/contract/vitest.config.ts",
         "--reporter=default", "--reporter=json", f"--outputFile.json={report}"],
        cwd=ROOT, env={**os.environ, "TTSVAR_TEST_SERVERS": json.dumps(servers), "NO_COLOR": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    # pytest's summary must stay the only one of its form in the output of continuous integration.
    assert run.returncode == 0, re.sub(r"(\d+) (passed|failed)", r"\1 cases \2", run.stdout)[-6000:]
    result = json.loads(report.read_text())
    assert result["numPassedTests"] == result["numTotalTests"] >= 2 * (10 + 11) + 3 * 4
    for program in programs.values():
        began = time.monotonic()
        assert program.stop() == 0
        assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--random-tiny", "square", "--host", "0.0.0.0"], "a token is needed"),
        (["--checkpoint", "there-is-no-such.pth"], "--vae, --text"),
        (["--checkpoint", "no.pth", "--vae", "no.pth", "--text", "no"], "no.pth does not exist"),
        (["--random-tiny", "square", "--default-schedule", "9:9@1M"], "there is no schedule"),
        (["--random-tiny", "square", "--device", "cuda"], "no CUDA device"),
    ],
)
def test_the_program_refuses_what_cannot_work(
    options: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name in ("TTSVAR_TOKEN", "TTSVAR_SAMPLER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=message):
        main(["--port", "0", *options])
    assert capsys.readouterr().out == ""
