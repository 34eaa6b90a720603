"""Exports an official VAR checkpoint to a model folder that tts-var samples from.

    training/.venv/bin/python training/export_var.py --checkpoint var_d16.pth --vae vae_ch160v4096z32.pth --out var-d16
    tts-var search --model ./var-d16 --label 207 --prompt "golden retriever"

What goes in (nothing is downloaded): the transformer (d16, d20, d24 and d30 at 256 px, d36 at 512 px, recognised by its
shapes; trainer checkpoints are unwrapped), and the tokenizer that all of them share. What comes out: four ONNX graphs,
a few small weights, and manifest.json with hashes and the result of a check of every graph against PyTorch.

Names of the classes: --labels FILE, a text file with one name per line in ImageNet's order; without it, classes are
given by number (--label).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

from ttsvar.infinity.official.errors import ExportError
from ttsvar.infinity.official.placement import Storage
from ttsvar.var.autoencoder import VqVae
from ttsvar.var.export import Sampling, Source, export
from ttsvar.var.model import BUFFERS, Var, VarConfig
from ttsvar.var.tiny import randomise

DEPTHS = ("d16", "d20", "d24", "d30", "d36")


def load(path: Path, inside: tuple[str, ...]) -> dict[str, Tensor]:
    """A flat state dict, or one inside a trainer's checkpoint."""
    if not path.is_file():
        raise ExportError(f"{path}: there is no such file")
    state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    for key in inside:
        state = state.get(key, state)
    return {k: v for k, v in state.items() if k not in (*BUFFERS, "quantize.ema_vocab_hit_SV")}


def checked(state: dict[str, Tensor], module: torch.nn.Module, path: Path) -> dict[str, Tensor]:
    """The state, if names and shapes are exactly the module's."""
    wanted = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    given = {k: tuple(v.shape) for k, v in state.items()}
    missing, unknown = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    if missing or unknown:
        raise ExportError(f"{path}: lacks {missing[:3] or 'nothing'}, and has {unknown[:3] or 'nothing'} that is unknown")
    wrong = next((k for k in wanted if wanted[k] != given[k]), None)
    if wrong:
        raise ExportError(f"{path}: {wrong} is {given[wrong]}, but {wanted[wrong]} is needed")
    return state


def variant(state: dict[str, Tensor]) -> str:
    depth = f"d{state['head.weight'].shape[1] // 64}"
    if depth not in DEPTHS:
        raise ExportError(f"a width of {state['head.weight'].shape[1]} belongs to none of {', '.join(DEPTHS)}")
    return depth


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="transformer: var_d16.pth ... var_d36.pth")
    parser.add_argument("--vae", type=Path, help="tokenizer: vae_ch160v4096z32.pth")
    parser.add_argument("--out", type=Path, required=True, help="model folder to make; must not exist")
    parser.add_argument("--labels", type=Path, help="names of the classes, one per line")
    parser.add_argument("--dtype", choices=("fp32", "fp16"), default="fp16", help="storage of the weights")
    parser.add_argument("--variant", choices=DEPTHS, help="with --random; otherwise recognised")
    parser.add_argument("--random", type=int, metavar="SEED", help="random weights for what is not given, for tests of size")
    a = parser.parse_args()
    try:
        if a.random is None and not (a.checkpoint and a.vae):
            raise ExportError("--checkpoint and --vae are needed (or --random SEED with --variant, for tests)")
        state = load(a.checkpoint, ("trainer", "var_wo_ddp")) if a.checkpoint else None
        name = variant(state) if state else a.variant
        if name is None:
            raise ExportError(f"--random needs --variant, one of {', '.join(DEPTHS)}")
        config = VarConfig.official(name)
        make = lambda: VqVae(sides=config.sides)  # noqa: E731
        with torch.device("meta"):
            model, vae = Var(config), make()
        weights = checked(state, model, a.checkpoint) if state else randomise(model, a.random)
        vae_state = checked(load(a.vae, ("trainer", "vae_local")), vae, a.vae) if a.vae else randomise(vae, a.random + 1)
        labels = tuple(a.labels.read_text(encoding="utf-8").split("\n")[: config.classes]) if a.labels else ()
        source = Source(f"var-{name}", config, weights, make, vae_state, labels, Sampling())
        manifest = export(source, a.out, Storage(int(a.dtype[2:])))
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{a.out}: VAR {name} in {a.dtype}, largest differences to PyTorch {manifest['verification']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
