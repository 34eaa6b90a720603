"""Tiny model folders with random weights and every kind of configuration, for tests.

    python -m ttsvar.infinity.official.tiny --out DIR        # DIR/square, DIR/patchify: seconds, under 1 MiB each

They go through the real exporter, so graphs, manifest and tokenizer have the layout of an exported checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ttsvar.infinity.model import InfinityConfig
from ttsvar.infinity.vae import VaeConfig
from ttsvar.infinity.official.export import Request, export
from ttsvar.infinity.official.parts import Parts, assemble
from ttsvar.infinity.official.placement import DTYPES, Storage
from ttsvar.infinity.official.text_folder import tiny_vocabulary
from ttsvar.infinity.official.variants import Variant
from ttsvar.text.encoder import TextConfig

SEED = 7
TEXT = TextConfig(vocab_size=len(tiny_vocabulary()), d_model=128, d_kv=16, d_ff=64, num_layers=1, num_heads=4)


def _vae(channels: int, levels: int) -> VaeConfig:
    return VaeConfig(channels, 8, (1,) * levels, (1,) * levels, (1,) * levels, (1,) * levels, 1, 1, 4)


VARIANTS = {
    "square": Variant("tiny", InfinityConfig(2, 64, 4, 128, 32, 8, 2), _vae(8, 3)),
    "patchify": Variant(
        "tiny_patchify", InfinityConfig(2, 64, 4, 128, 32, 8, 2), _vae(2, 2), patchify=True, temperature=1.0
    ),
}


def tiny_parts(kind: str, seed: int = SEED) -> Parts:
    """Random weights for one of ``VARIANTS``."""
    return assemble(VARIANTS[kind], TEXT, None, None, None, seed)


def write(kind: str, out: Path, storage: Storage, sizes: tuple[str, ...], seed: int = SEED) -> dict:
    """Export one kind to ``out``; all scales are verified."""
    request = Request(out, storage, None, sizes=sizes, verify_scales=13, quiet=True)
    return export(tiny_parts(kind, seed), request)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dtype", choices=tuple(DTYPES), default="fp32")
    parser.add_argument("--sizes", nargs="+", default=["0.06M"], help="image sizes whose schedules are included")
    parser.add_argument("--seed", type=int, default=SEED)
    a = parser.parse_args()
    for kind in VARIANTS:
        write(kind, a.out / kind, Storage(DTYPES[a.dtype]), tuple(a.sizes), a.seed)
        print(a.out / kind)


if __name__ == "__main__":
    main()
