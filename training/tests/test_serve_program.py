"""serve_infinity.py: its options, and the package's own contract suites against running servers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from serve_infinity import is_loopback, main, read_token
from serving import ROOT, SCHEDULE
from ttsvar.infinity.official import tiny
from ttsvar.infinity.official.placement import DTYPES, Storage


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
    shapes = {"square": SCHEDULE, "patchify": "2:3@0.06M", "embedded": "1:1"}
    places = {"embedded": ROOT / "models/generator"}
    servers = [
        {
            "name": name, "url": program.url(), "token": program.token, "shape": shapes[name],
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
    assert result["numPassedTests"] == result["numTotalTests"] >= 2 * (15 + 14) + 3 * 5
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
