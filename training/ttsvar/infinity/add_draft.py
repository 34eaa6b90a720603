"""Give an exported model folder of the Infinity family a draft decoder (`vae_draft`), whoever exported it.

    python -m ttsvar.infinity.add_draft --draft checkpoints/draft.pt --model ../models/generator

The other files stay as they are; the folder's identity changes, since searches see other previews. The graph is compared
with PyTorch before the manifest names it.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from ttsvar.infinity import graphs
from ttsvar.infinity.draft import DraftDecoder
from ttsvar.infinity.export import digest
from ttsvar.infinity.flops import count_flops
from ttsvar.infinity.train_draft import load_draft

TOLERANCE = 2e-5


@torch.no_grad()
def export_checked(draft: DraftDecoder, path: Path) -> None:
    """Write the graph with weights rounded to float16. Raises ValueError where onnxruntime and PyTorch disagree."""
    for parameter in draft.parameters():
        parameter.copy_(parameter.half().float())
    graphs.export_draft(draft, path)
    latent = torch.randn(3, draft.config.channels, 5, 4, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (image,) = session.run(["image"], {"latent": latent.numpy()})
    error = float(np.abs(image - draft.decode(latent).numpy()).max())
    if error > TOLERANCE:
        raise ValueError(f"{path}: onnxruntime differs from PyTorch by {error}")


@torch.no_grad()
def draft_flops(draft: DraftDecoder) -> int:
    """FLOPs for one cell of the latent."""
    side = 8
    latent = torch.zeros(1, draft.config.channels, side, side)
    return round(count_flops(lambda: draft.decode(latent)) / side**2)


def add_draft(draft: DraftDecoder, folder: Path) -> dict:
    """Write `vae_draft.onnx` and name it in the manifest, which is returned."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    channels, stride = manifest["architecture"]["codeChannels"], manifest["image"]["stride"]
    if (draft.config.channels, draft.config.stride) != (channels, stride):
        raise ValueError(
            f"the draft decoder is for {draft.config.channels} channels at stride {draft.config.stride}, "
            f"{folder} has {channels} at {stride}"
        )
    target = folder / "vae_draft.onnx"
    temporary = target.with_suffix(".tmp")
    export_checked(draft, temporary)
    os.replace(temporary, target)
    manifest["graphs"]["vae_draft"] = {"file": target.name, **digest(target)}
    manifest["flops"]["draftPerLatentCell"] = draft_flops(draft)
    temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return manifest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draft", default="checkpoints/draft.pt")
    parser.add_argument("--model", type=Path, default=Path("../models/generator"))
    a = parser.parse_args()
    flops = add_draft(load_draft(a.draft), a.model)["flops"]
    share = flops["draftPerLatentCell"] / flops["decodePerLatentCell"]
    print(f"{a.model}/vae_draft.onnx: {100 * share:.1f} % of the full decoder's FLOPs")


if __name__ == "__main__":
    main()
