"""Images per second of a CPU by candidates a pass and sessions at a time, as a Markdown table.

    .venv/bin/python bench_passes.py --embedded ../models/generator
    .venv/bin/python bench_passes.py --embedded DIR --device cuda --rows 1,4,16,64

On a CPU, seconds are those that one thread computed, so that other programs on the machine do not count; on a GPU they are
seconds of the clock. Text encoding and decoding are left out: they are the same for all.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from ttsvar.infinity.serving.loading import Placement, load_embedded
from ttsvar.infinity.serving.network import Network
from ttsvar.infinity.serving.population import Population, Request


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embedded", type=Path, required=True, metavar="DIR", help="an exported model folder")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--rows", type=numbers, default=[1, 2, 4, 8, 16], help="candidates a pass (default: 1,2,4,8,16)")
    parser.add_argument("--sessions", type=numbers, default=[1, 4, 16], help="sessions at a time (default: 1,4,16)")
    parser.add_argument("--width", type=int, default=1, help="candidates of a session (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| rows a pass | " + " | ".join(f"{count} sessions" for count in options.sessions) + " |")
    print("|--:|" + "--:|" * len(options.sessions))
    for rows in options.rows:
        placement = Placement(torch.device(options.device), torch.float32, rows)
        network = Network(loaded := load_embedded(options.embedded, placement), placement)
        shape = loaded.shapes[0]
        rates = [rate(network, shape, count, options.width) for count in options.sessions]
        print(f"| {rows} | " + " | ".join(f"{each:.1f}" for each in rates) + " |", flush=True)


def rate(network: Network, shape, sessions: int, width: int) -> float:  # noqa: ANN001
    """Images per second of several sessions with different prompts, step by step together; the better of two rounds."""
    seconds = clock(network)
    best = 0.0
    for _ in range(2):
        populations = [
            Population.begin(
                network,
                Request(shape, f"a photo of {index + 1} cups", None, index, shape.defaults),
                [f"c{row}" for row in range(width)],
            )
            for index in range(sessions)
        ]
        populations = [population.step()[0] for population in populations]
        start = seconds()
        for _ in range(shape.scales - 1):
            if populations[0].alike:
                populations = [population for population, _ in Population.step_all(populations)]
            else:
                populations = [population.step()[0] for population in populations]
        best = max(best, sessions * width / (seconds() - start))
    return best


def clock(network: Network):  # noqa: ANN201
    if network.on_cpu:
        return time.process_time

    def seconds() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return seconds


if __name__ == "__main__":
    main()
