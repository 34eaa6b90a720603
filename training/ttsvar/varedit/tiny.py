"""The tiny editor of the tests: random weights, and what PyTorch computes with forced bits, with and without alignment.

    python -m ttsvar.varedit.tiny --out ../test/fixtures/models/varedit-tiny
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from ttsvar.infinity.bits import BitQuantizer, tokens
from ttsvar.infinity.generator import Bundle
from ttsvar.infinity.model import InfinityConfig
from ttsvar.infinity.sample import Settings
from ttsvar.infinity.schedule import Schedule
from ttsvar.infinity.vae import Vae, VaeConfig
from ttsvar.text.encoder import TextConfig
from ttsvar.var.tiny import randomise
from ttsvar.varedit.export import export
from ttsvar.varedit.model import masks
from ttsvar.varedit.train import Editor
from ttsvar.varedit.words import EditTokenizer

SIDES = (1, 2, 3, 4)
PROMPT = "make the cup red"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("../test/fixtures/models/varedit-tiny"))
    out = parser.parse_args().out
    config = InfinityConfig(2, 64, 2, 32, 16, 8, 2)
    module = Editor(config, TextConfig(len(EditTokenizer()), 32, 16, 32, 1, 2)).eval().requires_grad_(False)
    module.load_state_dict(randomise(module, 1))
    vae = Vae(VaeConfig(8, 8, (1, 2, 2), (1, 2, 2), (1, 1, 1), (1, 1, 1), 1, 1, 4)).eval().requires_grad_(False)
    vae.load_state_dict(randomise(vae, 2))
    quantizer = BitQuantizer(8, [(s, s) for s in SIDES], torch.full((4, 8), 0.4))
    schedule = Schedule.square(SIDES)
    bundle = Bundle(module, vae, quantizer, schedule, {})
    n = len(SIDES)
    export(bundle, out, Settings([2.0] * n, [1.0] * n))
    torch.manual_seed(3)
    source = torch.randn(1, 8, 4, 4)
    bits = [torch.rand(1, 8, s, s) > 0.5 for s in SIDES]
    code, inputs = torch.zeros(1, 8, 4, 4), []
    for scale, value in enumerate(bits[:-1]):
        code = code + quantizer.contribution(value, scale)
        inputs.append(quantizer.next_input(code, scale + 1))
    ids = torch.tensor([EditTokenizer().encode(PROMPT)])
    text, bias = module.states(ids)
    cos, sin = schedule.rope_all(config.head_dim)
    cos, sin = (torch.cat([t[-schedule.lengths[-1] :], t]) for t in (cos, sin))
    golden = {
        "prompt": PROMPT, "source": source.flatten().tolist(),
        "bits": [tokens(b)[0].int().flatten().tolist() for b in bits],
    }  # fmt: skip
    for aligned in (True, False):
        delta = module.model.edit(
            text, bias, tokens(source), torch.cat(inputs, 1), schedule, (cos, sin, *masks(schedule, aligned)), aligned
        )
        name = "aligned" if aligned else "whole"
        golden[name] = [[round(x, 6) for x in d.flatten().tolist()] for d in delta[0].split(schedule.lengths)]
    (out.parent / f"{out.name}.golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
