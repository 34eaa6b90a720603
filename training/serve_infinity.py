"""Serves an Infinity generator to `tts-var search --model http://HOST:PORT`, computed by PyTorch on a CPU or GPU.

    .venv/bin/python serve_infinity.py --checkpoint infinity_2b_reg.pth --vae infinity_vae_d32reg.pth --text flan-t5-xl/ \\
        --device cuda --dtype bfloat16 --default-schedule 1:1@1M
    .venv/bin/python serve_infinity.py --embedded ../models/generator
    .venv/bin/python serve_infinity.py --random-tiny square --port 0

Prints the address on stdout once it is ready, logs to stderr, and stops in order on Ctrl-C or SIGTERM. It listens on
127.0.0.1 unless told otherwise, and then demands a token: set TTSVAR_TOKEN (or TTSVAR_SAMPLER_TOKEN, which the client
reads), or give --token-file. Everything about the protocol: docs/remote-sampler.md.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import signal
import sys
import threading
from pathlib import Path

TOKEN_VARIABLES = ("TTSVAR_TOKEN", "TTSVAR_SAMPLER_TOKEN")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument(
        "--checkpoint", type=Path, metavar="PATH",
        help="official transformer: a .pth file, or a sharded checkpoint's folder; needs --vae and --text",
    )  # fmt: skip
    model.add_argument("--embedded", type=Path, metavar="DIR", help="an exported model folder of the embedded kind")
    model.add_argument(
        "--random-tiny", choices=("square", "patchify"), help="a very small model with random weights, for tests"
    )
    parser.add_argument("--vae", type=Path, metavar="FILE", help="the VAE that belongs to --checkpoint")
    parser.add_argument("--text", type=Path, metavar="DIR", help="folder of google/flan-t5-xl with tokenizer.json")
    parser.add_argument(
        "--default-schedule", default="1:1@0.06M", metavar="ID",
        help="width:height@size unless the search asks for another (default: %(default)s; not with --embedded)",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8710, help="0 takes any free port (default: %(default)s)")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="file whose first line is the token")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), default="float32",
        help="of the transformer's matrices and caches; norms and head stay in float32 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--rows-per-pass", type=positive, default=1, metavar="N",
        help="candidates per pass of the transformer. 1 keeps a candidate's images independent of who else is searched "
        "with; more is faster at the small scales, and takes candidates of several searches at once (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--threads", type=positive, metavar="N", help="CPU threads (default: PyTorch's)")
    parser.add_argument("--max-rows", type=positive, default=64, help="candidates per session (default: %(default)s)")
    parser.add_argument("--max-sessions", type=positive, default=64, help="sessions at a time (default: %(default)s)")
    parser.add_argument("--max-request-bytes", type=positive, default=8 * 2**20, help="(default: %(default)s)")
    parser.add_argument(
        "--idle-seconds", type=float, default=900.0,
        help="a session that its client forgot is dropped after this long (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="do not log requests")
    return parser.parse_args(argv)


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def read_token(file: Path | None) -> str | None:
    """The token, or None if none is set."""
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").split("\n", 1)[0].strip()
        except OSError as error:
            raise SystemExit(f"error: cannot read the token file {file}: {error.strerror}") from error
        if not token:
            raise SystemExit(f"error: the token file {file} is empty")
    else:
        token = next((os.environ[name].strip() for name in TOKEN_VARIABLES if os.environ.get(name, "").strip()), "")
    if not token:
        return None
    if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
        raise SystemExit("error: the token must have at least 16 printable characters without spaces; make one with\n"
                         "  python -c 'import secrets; print(secrets.token_urlsafe(32))'")  # fmt: skip
    return token


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def main(argv: list[str] | None = None) -> None:
    options = arguments(argv)
    if options.checkpoint and not (options.vae and options.text):
        raise SystemExit("error: --checkpoint needs the VAE and the text encoder it was trained with: --vae, --text")
    token = read_token(options.token_file)
    if token is None and not is_loopback(options.host):
        raise SystemExit(
            f"error: {options.host} can be reached from other machines, so a token is needed: set TTSVAR_TOKEN or "
            "give --token-file; and let only trusted networks through, or an SSH tunnel: the connection is not encrypted"
        )
    # After the options, so that --help and refusals need no second.
    import torch

    from ttsvar.infinity.official.errors import ExportError
    from ttsvar.infinity.serving.loading import Placement
    from ttsvar.infinity.serving.loop import InfinityLoop
    from ttsvar.infinity.serving.network import Network
    from ttsvar.serve.service import Limits, Service
    from ttsvar.serve.transport import SamplerServer

    if options.threads:
        torch.set_num_threads(options.threads)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("error: PyTorch sees no CUDA device here; use --device cpu, or install PyTorch's CUDA build")
    placement = Placement(torch.device(options.device), getattr(torch, options.dtype), options.rows_per_pass)
    try:
        loaded = load(options, placement)
    except (ExportError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    # Rounding differs by kind of device and precision, so they are part of what a run was made with.
    version = f"{loaded.version}/{placement.device.type}-{options.dtype}"
    network = Network(loaded, placement)
    limits = Limits(options.max_rows, options.max_sessions, options.max_request_bytes, options.idle_seconds)
    service = Service(InfinityLoop(network, loaded, version), limits)
    try:
        server = SamplerServer(service, options.host, options.port, token, options.quiet)
    except OSError as error:
        raise SystemExit(f"error: cannot listen on {options.host}:{options.port}: {error.strerror}") from error
    serve(server, version)


def load(options: argparse.Namespace, placement):  # noqa: ANN001, ANN201 - imported late
    from ttsvar.infinity.serving.loading import load_embedded, load_official, load_tiny

    if options.embedded:
        return load_embedded(options.embedded, placement)
    if options.random_tiny:
        return load_tiny(options.random_tiny, options.default_schedule, placement)
    files = (options.checkpoint, options.vae, options.text)
    return load_official(*files, options.default_schedule, placement)


def serve(server, version: str) -> None:  # noqa: ANN001 - imported late
    """Serves until SIGINT or SIGTERM."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    print(server.url, flush=True)
    guard = "with a token" if server.token else "without a token, for anyone on this machine"
    print(f"serving {version} {guard}; stop with Ctrl-C", file=sys.stderr, flush=True)
    stopped.wait()
    print("stopping: requests under way are finished", file=sys.stderr, flush=True)
    server.stop()
    thread.join()


if __name__ == "__main__":
    main()
