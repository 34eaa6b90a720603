"""Compares PyTorch and the exported graphs with the official VAR module, on forced tokens and seeded random weights.

    git clone https://github.com/FoundationVision/VAR
    cd training && python -m ttsvar.var.parity --official ../VAR --out ../results/var-parity

Nothing of that repository is needed otherwise. ``--cases`` takes depths: ``d16`` is the true size of the smallest released
model and needs 6 GiB; others work as well.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from ttsvar.infinity.official.placement import Storage
from ttsvar.var.autoencoder import VqVae
from ttsvar.var.export import Source, export
from ttsvar.var.model import SIDES_256, SIDES_512, Var, VarConfig, load_official
from ttsvar.var.tiny import randomise

CASES = {
    "tiny": (VarConfig(2, 10, 64, 32, (1, 2, 3, 4), False), 32),
    "tiny-shared-adaln": (VarConfig(2, 10, 64, 32, (1, 2, 3, 4), True), 32),
    "tiny-ten-scales": (VarConfig(2, 10, 64, 32, SIDES_256, False), 32),
    "tiny-512": (VarConfig(2, 10, 64, 32, SIDES_512, True), 32),
    **{name: (VarConfig.official(name), 160) for name in ("d16", "d20", "d24", "d30", "d36")},
}
TITLES = {
    "tiny": "tiny configuration, 4 scales", "tiny-shared-adaln": "tiny, shared adaLN (as d36)",
    "tiny-ten-scales": "tiny, the ten scales of 256 px", "tiny-512": "tiny, the ten scales of 512 px, shared adaLN",
    "d16": "d16 and the tokenizer at their true size",
}  # fmt: skip
LABELS, GUIDANCE = (3, 7), 1.5


class Official:
    """The original module with our weights."""

    def __init__(self, models, config: VarConfig, base: int):  # noqa: ANN001
        self.models, self.config = models, config
        with contextlib.redirect_stdout(io.StringIO()):  # the original prints while it is built
            vae = models.VQVAE(config.vocabulary, config.channels, base, v_patch_nums=config.sides)
            self.var = models.VAR(
                vae, config.classes, config.depth, config.width, config.heads, shared_aln=config.shared_adaln,
                attn_l2_norm=True, patch_nums=config.sides, flash_if_available=False, fused_if_available=False,
            ).eval()  # fmt: skip
        self.vae = vae.eval()

    def load(self, module: nn.Module, state: dict[str, Tensor]) -> None:
        missing, unexpected = nn.Module.load_state_dict(module, state, strict=False)
        lacking = [k for k in missing if k not in ("lvl_1L", "attn_bias_for_masking", "quantize.ema_vocab_hit_SV")]
        if lacking or unexpected:
            raise SystemExit(f"names differ: {lacking[:3]} are unknown to us, {unexpected[:3]} to the original")

    @torch.no_grad()
    def run(self, forced: list[Tensor]) -> tuple[list[Tensor], Tensor, Tensor]:
        """Guided logits ``[B, L, V]`` by scale, the final code, and the image in [0, 1]."""
        module = sys.modules[type(self.var).__module__]
        logits, codes, left = [], [], list(forced)
        sample, decode = module.sample_with_top_k_top_p_, self.vae.fhat_to_img

        def forced_sample(values: Tensor, **_: object) -> Tensor:
            logits.append(values.clone())
            return left.pop(0)[..., None]

        def recorded_decode(code: Tensor) -> Tensor:
            codes.append(code.clone())
            return decode(code)

        module.sample_with_top_k_top_p_, self.vae.fhat_to_img = forced_sample, recorded_decode
        try:
            labels = torch.tensor(LABELS)
            image = self.var.autoregressive_infer_cfg(len(LABELS), labels, cfg=GUIDANCE, top_k=900, top_p=0.96)
        finally:
            module.sample_with_top_k_top_p_ = sample
            del self.vae.fhat_to_img
        return logits, codes[0], image


def guided(logits: Tensor, scale: int, scales: int) -> Tensor:
    """``[2, B, L, V]`` -> ``[B, L, V]``."""
    t = GUIDANCE * scale / (scales - 1)
    return (1 + t) * logits[0] - t * logits[1]


@torch.no_grad()
def ours(model: Var, vae: VqVae, forced: list[Tensor], graphs: Path | None) -> tuple[list[Tensor], Tensor, Tensor]:
    """The same by our module, or by the graphs of a folder; classes are drawn one at a time, as a search does it."""
    sessions = {} if graphs is None else {
        name: ort.InferenceSession(str(graphs / f"{name}.onnx"), providers=["CPUExecutionProvider"])
        for name in ("condition", "step", "vae_decode")
    }  # fmt: skip
    c, quantiser = model.config, vae.quantize
    positions, by_label = model.positions().split(c.lengths), []
    for row, label in enumerate(LABELS):
        labels = torch.tensor([label, c.classes])
        condition = model.condition(labels)
        if sessions:
            condition.sos, condition.gss, condition.head_ss = (
                torch.from_numpy(x) for x in sessions["condition"].run(["sos", "gss", "head_ss"], {"labels": labels.numpy()})
            )
        side, logits = c.sides[-1], []
        code = torch.zeros(1, c.channels, side, side)
        head = c.width // c.heads
        past = [(torch.zeros(2, c.heads, 0, head),) * 2 for _ in range(c.depth)]
        for scale, index in enumerate(forced):
            z = quantiser.next_input(code, scale)
            x_add = positions[scale].expand(2, -1, -1)
            if scale == 0:
                z = torch.zeros(1, 1, c.channels)
                x_add = (condition.sos + model.pos_start[0] - model.word_embed.bias)[:, None] + positions[0]
            if sessions:
                feeds = {"z": z, "x_add": x_add, "gss": condition.gss, "head_ss": condition.head_ss}
                for i, (k, v) in enumerate(past):
                    feeds |= {f"past_k_{i}": k, f"past_v_{i}": v}
                out = [torch.from_numpy(x) for x in sessions["step"].run(None, {k: v.contiguous().numpy() for k, v in feeds.items()})]
                values, new = out[0], [(out[1 + 2 * i], out[2 + 2 * i]) for i in range(c.depth)]
            else:
                values, new = model.step(z, x_add, condition, past)
            past = [tuple(torch.cat(pair, 2) for pair in zip(old, fresh)) for old, fresh in zip(past, new)]
            logits.append(guided(values, scale, len(forced)))
            code = code + quantiser.contribution(quantiser.entries(index[row : row + 1], scale), scale)
        image = torch.from_numpy(sessions["vae_decode"].run(["image"], {"latent": code.numpy()})[0]) if sessions else vae.decode(code)
        by_label.append((logits, code, (image + 1) / 2))
    joined = [torch.cat(rows) for rows in zip(*(logits for logits, _, _ in by_label))]
    return joined, *(torch.cat([x[i] for x in by_label]) for i in (1, 2))


def difference(a: list[Tensor], b: list[Tensor]) -> float:
    return max((x - y).abs().max().item() for x, y in zip(a, b))


def bytes_of(image: Tensor) -> np.ndarray:
    return (image.clamp(0, 1) * 255).to(torch.uint8).numpy().astype(int)


def compare(models, name: str) -> dict:  # noqa: ANN001
    config, base = CASES[name]
    make = lambda: VqVae(config.vocabulary, config.channels, base, config.sides)  # noqa: E731
    model, vae = Var(config).eval().requires_grad_(False), make().eval().requires_grad_(False)
    states = randomise(model, 1), randomise(vae, 2)
    official = Official(models, config, base)
    for module, state in zip((official.var, official.vae), states):
        official.load(module, state)
    load_official(model, official.var.state_dict())
    vae.load_state_dict(states[1])
    generator = torch.Generator().manual_seed(5)
    forced = [torch.randint(config.vocabulary, (len(LABELS), n), generator=generator) for n in config.lengths]
    logits, code, image = official.run(forced)
    row = {"case": name, "scales": len(forced), "largestLogit": max(x.abs().max().item() for x in logits)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        export(Source(name, config, states[0], make, states[1]), folder, Storage(32))
        for kind, graphs in (("torch", None), ("onnx", folder)):
            own_logits, own_code, own_image = ours(model, vae, forced, graphs)
            row[kind] = {
                "logits": difference(own_logits, logits), "latents": difference([own_code], [code]),
                "image": int(np.abs(bytes_of(own_image) - bytes_of(image)).max()),
            }  # fmt: skip
    found, _ = vae.quantize.encode(vae.encode(image * 2 - 1))
    expected = official.vae.img_to_idxBl(image * 2 - 1)
    row["tokensDiffering"] = sum(int((a != b).sum()) for a, b in zip(found, expected))
    row["tokens"] = sum(b.numel() for b in expected)
    print(json.dumps(row), flush=True)
    return row


def report(rows: list[dict]) -> str:
    cells = [
        f"| {TITLES.get(r['case'], r['case'])} | {r['scales']} | {r['largestLogit']:.1f} | {r['torch']['logits']:.1e} |"
        f" {r['onnx']['logits']:.1e} | {r['torch']['latents']:.1e} | {r['onnx']['latents']:.1e} | {r['torch']['image']} |"
        f" {r['onnx']['image']} | {r['tokensDiffering']} of {r['tokens']} |"
        for r in rows
    ]
    names = " ".join(r["case"] for r in rows)
    return f"""# Parity with the official VAR module

    git clone https://github.com/FoundationVision/VAR
    cd training && python -m ttsvar.var.parity --official ../VAR --out ../results/var-parity --cases {names}

Largest absolute differences between the official PyTorch module (commit 78b9539, CPU, float32) and ours, over all
scales, with forced tokens, guidance {GUIDANCE} and seeded random weights under the released names: our PyTorch module with
caches, and the graphs that `export_var.py`'s exporter made. Images are compared as bytes. The last column encodes the official
image with both tokenizers: nearest entries of random codebooks may tie within rounding. What TypeScript adds between the graphs is
compared with PyTorch in `test/e2e/generator-var.test.ts`.

| case | scales | largest logit | logits, PyTorch | logits, ONNX | latents, PyTorch | latents, ONNX | image, PyTorch | image, ONNX | tokens that differ |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
{chr(10).join(cells)}

Bounds: logits 0.0001, latents 1e-05, image 1 of 255.

Made with torch {torch.__version__.split('+')[0]}, onnxruntime {ort.__version__}, CPU, float32.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, required=True, help="checkout of FoundationVision/VAR")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", nargs="+", choices=tuple(CASES), default=["tiny", "tiny-shared-adaln", "tiny-ten-scales", "tiny-512", "d16"])
    a = parser.parse_args()
    sys.path.insert(0, str(a.official))
    import models  # type: ignore[import-not-found]  # of the checkout

    rows = [compare(models, name) for name in a.cases]
    a.out.mkdir(parents=True, exist_ok=True)
    (a.out / "parity.json").write_text(json.dumps(rows, indent=1) + "\n")
    (a.out / "README.md").write_text(report(rows))
    good = all(r[k]["logits"] <= 1e-4 and r[k]["latents"] <= 1e-5 and r[k]["image"] <= 1 for r in rows for k in ("torch", "onnx"))
    print("all within bounds" if good else "BEYOND THE BOUNDS")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
