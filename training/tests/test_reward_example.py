"""The example of a reward behind HTTP, asked by the program that it is an example for."""

from __future__ import annotations

import shutil
import subprocess
import sys

from serving import ROOT


def test_the_example_server_passes_the_reward_check() -> None:
    node = shutil.which("node")
    assert node, "Node.js is needed: the reward check is TypeScript"
    server = subprocess.Popen(
        [sys.executable, "examples/reward-server.py", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        url = server.stdout.readline().removeprefix("scoring on ").strip()
        check = subprocess.run(
            [node, "bin/tts-var.mjs", "reward", "check", url], cwd=ROOT, capture_output=True, text=True, timeout=120
        )
    finally:
        server.kill()
        server.wait()
    assert check.returncode == 0, check.stderr
    assert "ok: form, length, order, finiteness and determinism hold" in check.stdout + check.stderr
