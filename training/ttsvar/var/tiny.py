"""The tiny VAR of the tests: random weights, and what PyTorch computes with forced tokens.

    python -m ttsvar.var.tiny --out ../test/fixtures/models/var-tiny
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from ttsvar.infinity.official.placement import Storage
from ttsvar.infinity.vae import VaeConfig
from ttsvar.var.autoencoder import VqVae
from ttsvar.var.export import Sampling, Source, export
from ttsvar.var.model import Var, VarConfig

CONFIG = VarConfig(depth=2, classes=4, vocabulary=48, channels=8, sides=(1, 2, 3, 4))
LABELS = ("dog", "cat", "red car", "traffic light")
VAE = VaeConfig(8, 8, (1, 2, 2), (1, 2, 2), (1, 1, 1), (1, 1, 1), 1, 1, 4)


def make_vae() -> VqVae:
    return VqVae(CONFIG.vocabulary, CONFIG.channels, sides=CONFIG.sides, small=VAE)


@torch.no_grad()
def randomise(module: torch.nn.Module, seed: int) -> dict[str, Tensor]:
    """A state with values of a trained model's order, exact in fp16."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in module.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith("scale_mul_1H11"):
            value = 1.4 + 0.1 * noise
        elif name.endswith("zero_k_bias"):
            value = torch.zeros(value.shape)
        elif "norm" in name and name.endswith("weight") and value.ndim == 1:
            value = 1 + 0.1 * noise
        elif value.ndim > 1 and "emb" not in name and "pos_" not in name:
            value = noise * value[0].numel() ** -0.5
        else:
            value = 0.3 * noise
        state[name] = value.half().float()
    return state


@torch.no_grad()
def record(model: Var, vae: VqVae, label: int, forced: list[Tensor]) -> dict[str, list[Tensor]]:
    """Logits (both branches), inputs and codes by scale of one candidate with forced tokens ``[1, L]``."""
    quantiser, c = vae.quantize, model.config
    condition = model.condition(torch.tensor([label, c.classes]))
    positions = model.positions().split(c.lengths)
    code, past, out = torch.zeros(1, c.channels, c.sides[-1], c.sides[-1]), None, {"logits": [], "inputs": [], "codes": []}
    for scale, index in enumerate(forced):
        if scale == 0:
            z = torch.zeros(1, 1, c.channels)
            x_add = (condition.sos + model.pos_start[0] - model.word_embed.bias)[:, None] + positions[0]
        else:
            z = quantiser.next_input(code, scale)
            x_add = positions[scale].expand(2, -1, -1)
        logits, new = model.step(z, x_add, condition, past)
        past = new if past is None else [tuple(torch.cat(p, 2) for p in zip(a, b)) for a, b in zip(past, new)]
        code = code + quantiser.contribution(quantiser.entries(index, scale), scale)
        for name, value in (("logits", logits), ("inputs", z), ("codes", code)):
            out[name].append(value)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("../test/fixtures/models/var-tiny"))
    out = parser.parse_args().out
    model, vae = Var(CONFIG).eval(), make_vae().eval()
    model.load_state_dict(randomise(model, 1))
    vae.load_state_dict(randomise(vae, 2))
    source = Source("var-tiny", CONFIG, model.state_dict(), make_vae, vae.state_dict(), LABELS, Sampling(1.5, 900, 0.96))
    print(export(source, out, Storage(16), {"license": "MIT"})["verification"])
    generator = torch.Generator().manual_seed(3)
    forced = [torch.randint(CONFIG.vocabulary, (1, n), generator=generator) for n in CONFIG.lengths]
    recorded = record(model, vae, 2, forced)
    with torch.no_grad():
        image = vae.decode(recorded["codes"][-1])
        latent = vae.encode(image)
        indices, _ = vae.quantize.encode(latent)
    lists = {name: [[round(x, 6) for x in v.flatten().tolist()] for v in values] for name, values in recorded.items()}
    golden = {
        "label": 2, "tokens": [t[0].tolist() for t in forced], **lists,
        "image": ((image[0] + 1) / 2 * 255).flatten().round(decimals=3).tolist(),
        "latent": [round(x, 6) for x in latent.flatten().tolist()], "encoded": [t[0].tolist() for t in indices],
    }  # fmt: skip
    (out.parent / "var-tiny.golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
