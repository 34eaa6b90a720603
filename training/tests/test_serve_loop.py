"""The server knows generators by their loop alone."""

from __future__ import annotations

import subprocess
import sys

from serving import ROOT


def test_the_server_loads_without_any_family() -> None:
    program = (
        "import sys, ttsvar.serve.transport; "
        "print(sorted(name for name in sys.modules if name.startswith('ttsvar.') and not name.startswith('ttsvar.serve')))"
    )
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT / "training", capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
