"""Compares our PyTorch and our exported ONNX graphs with the official module, on forced bits.

    git clone https://github.com/FoundationVision/Infinity
    python -m ttsvar.infinity.official.parity --official Infinity                  # all cases, prints a table
    python -m ttsvar.infinity.official.parity --official Infinity --case tiny negative --size 0.25M

No released weights are needed: the official module gets seeded random weights in which every parameter matters, its
state dict is saved, and the real exporter reads that file. Columns are largest absolute differences; logits are the
differences between a bit's two logits, which is what the model samples from.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor

from ttsvar.infinity.vae import to_uint8
from ttsvar.infinity.official.cached import graph_step, run_cached, run_graph, starts, torch_step
from ttsvar.infinity.official.cases import CASES, Case, with_size
from ttsvar.infinity.official.errors import ExportError
from ttsvar.infinity.official.export import Request, export
from ttsvar.infinity.official.forced import Forced, force, random_bits
from ttsvar.infinity.official.keys import NESTING, VAE_NESTING, shapes_of
from ttsvar.infinity.official.parity_report import Report, Row
from ttsvar.infinity.official.parts import Parts, assemble
from ttsvar.infinity.official.placement import Storage
from ttsvar.infinity.official.resolutions import NamedSchedule, schedules
from ttsvar.infinity.official.shims import import_official
from ttsvar.infinity.official.streamed import loaded
from ttsvar.infinity.official.tensors import open_checkpoint, random_source
from ttsvar.text.encoder import TextConfig

SEED = 5
CLOSED = -1e4


@dataclass
class Recorded:
    """What the official module computed: per scale deltas ``[G, B, L, dv]`` and inputs; latent and RGB image."""

    deltas: list[Tensor]
    inputs: list[Tensor]
    latent: Tensor
    image: Tensor
    features: Tensor


class Official:
    """The official VAE and transformer of a case, with seeded random weights."""

    def __init__(self, code: SimpleNamespace, case: Case, parts: Parts) -> None:
        c, vae = case.variant.transformer, case.variant.vae
        self.case, self.depth = case, c.depth
        self.vae = code.vae_model(
            None, "dynamic", vae.channels, 2**vae.channels, patch_size=vae.stride,
            encoder_ch_mult=list(vae.encoder_mult), decoder_ch_mult=list(vae.decoder_mult), test_mode=True,
        ).eval()  # fmt: skip
        self.model = code.Infinity(
            vae_local=self.vae, text_channels=c.text_channels, text_maxlen=c.text_max_length, shared_aln=True,
            raw_scale_schedule=None, checkpointing="full-block", customized_flash_attn=False, fused_norm=True,
            pad_to_multiplier=128, use_flex_attn=False, add_lvl_embeding_only_first_block=1, use_bit_label=1,
            rope2d_each_sa_layer=1, rope2d_normalized_by_hw=2, pn="0.06M",
            apply_spatial_patchify=int(case.variant.patchify), inference_mode=True, train_h_div_w_list=[1.0],
            depth=c.depth, embed_dim=c.width, num_heads=c.heads, drop_path_rate=0.1, mlp_ratio=4,
            block_chunks=c.block_chunks,
        ).eval()  # fmt: skip
        self.model.rng = torch.Generator()
        for module, ours, seed in ((self.model, parts.transformer, SEED), (self.vae, parts.vae, SEED + 1)):
            module.requires_grad_(False)
            source = random_source(shapes_of(ours), seed)
            state = {name: source.read(name) for name in source.shapes}
            missing, unexpected = torch.nn.Module.load_state_dict(module, state, strict=False)
            lacking = [n for n in missing if not n.endswith(("lvl_1L", "attn_bias_for_masking", "lfq.mask"))]
            lacking = [n for n in lacking if not n.startswith(("Infinity_", "quantize"))]
            if lacking or unexpected:
                raise ExportError(f"{case.name}: {lacking[:3]} are unknown to us, {unexpected[:3]} to the original")

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Both state dicts in the layout of the released files."""
        transformer, vae = folder / "transformer.pth", folder / "vae.pth"
        torch.save(self.model.state_dict(), transformer)
        torch.save({"vae": self.vae.state_dict()}, vae)
        return transformer, vae

    @torch.no_grad()
    def run(self, text: Tensor, negative: Tensor | None, forced: Forced, named: NamedSchedule) -> Recorded:
        """``text``, ``negative``: ``[T, Ct]``, the same for all candidates."""
        batch = forced.bits[0].shape[0]
        deltas, inputs, latents = [], [], []
        get_logits, decode = type(self.model).get_logits, self.vae.decode

        def recorded_logits(hidden: Tensor, condition: Tensor) -> Tensor:
            logits = get_logits(self.model, hidden, condition)
            pairs = logits.unflatten(-1, (-1, 2)).unflatten(0, (2, batch))
            deltas.append((pairs[..., 1] - pairs[..., 0]).clone())
            return logits

        def recorded_decode(latent: Tensor) -> Tensor:
            latents.append(latent.clone())
            return decode(latent)

        self.model.get_logits, self.vae.decode = recorded_logits, recorded_decode
        hook = self.model.word_embed.register_forward_pre_hook(lambda _, args: inputs.append(args[0].clone()))
        grids = named.schedule.vae_grids
        leaked = [_to_grid(bits, grid, named.schedule.scales[s], self.case.variant.patchify)
                  for s, (bits, grid) in enumerate(zip(forced.bits, grids))]  # fmt: skip
        scales = [(1, h, w) for h, w in named.schedule.scales]
        try:
            _, _, image = self.model.autoregressive_infer_cfg(
                vae=self.vae, scale_schedule=scales, label_B_or_BLT=_ragged(text, batch), B=batch,
                negative_label_B_or_BLT=_ragged(negative, batch) if negative is not None else None, g_seed=0,
                cfg_list=[3.0] * len(scales), tau_list=[1.0] * len(scales), top_k=900, top_p=0.97, returns_vemb=1,
                cfg_insertion_layer=[0], vae_type=32, ret_img=True, gt_leak=len(scales), gt_ls_Bl=leaked,
                inference_mode=True,
            )  # fmt: skip
        finally:
            hook.remove()
            del self.model.get_logits, self.vae.decode
        image = image.flip(-1)  # BGR, as cv2 writes it
        features = self.vae.encoder(_as_float(image))
        return Recorded(deltas, inputs, latents[-1], image, features)


def _as_float(image: Tensor) -> Tensor:
    return image.permute(0, 3, 1, 2).float() / 127.5 - 1


def _ragged(text: Tensor, batch: int) -> tuple[Tensor, list[int], Tensor, int]:
    length = len(text)
    ends = torch.arange(batch + 1, dtype=torch.int32) * length
    return text.repeat(batch, 1), [length] * batch, ends, length


def _to_grid(bits: Tensor, vae_grid: tuple[int, int], grid: tuple[int, int], patchify: bool) -> Tensor:
    """Bits ``[B, L, dv]`` -> the official order ``[B, 1, h, w, d]`` at the VAE's grid, written out index by index."""
    batch, _, channels = bits.shape
    if not patchify:
        return bits.view(batch, 1, *grid, channels).long()
    tokens = bits.view(batch, *grid, channels // 4, 2, 2).long()  # channel c * 4 + 2 * dy + dx
    return tokens.permute(0, 1, 4, 2, 5, 3).reshape(batch, 1, *vae_grid, channels // 4)


def compare(code: SimpleNamespace, case: Case, folder: Path) -> Row:
    """Run one case; ``folder`` is for checkpoints and the exported model."""
    c = case.variant.transformer
    named = next(n for n in schedules(case.variant.patchify) if n.id == case.schedule)
    text_config = TextConfig(64, c.text_channels, 16, 64, 1, 2)
    with redirect_stdout(io.StringIO()):  # the original prints while it is built
        official = Official(code, case, assemble(case.variant, text_config, None, None, None))
    transformer, vae = official.save(folder)
    parts = assemble(
        case.variant, text_config, open_checkpoint(transformer, NESTING), open_checkpoint(vae, VAE_NESTING), None
    )
    size = case.schedule.split("@")[1]
    export(parts, Request(folder / "model", Storage(), None, case.schedule, (size,), verify_scales=1, quiet=True))

    generator = torch.Generator().manual_seed(SEED + 2)
    text = torch.randn(case.text, c.text_channels, generator=generator)
    negative = torch.randn(case.negative, c.text_channels, generator=generator) if case.negative else None
    first = random_bits(named.schedule, c.token_channels, case.batch, SEED + 3)
    later = random_bits(named.schedule, c.token_channels, len(case.picks or range(case.batch)), SEED + 4)
    picks = list(case.picks or range(case.batch))
    bits = [first[s][picks] if s <= case.after else later[s] for s in range(len(first))]
    fresh = force(named.schedule, case.variant.vae.channels, bits)
    wanted = official.run(text, negative, fresh, named)
    del official

    before = force(named.schedule, case.variant.vae.channels, first, case.after + 1)
    inputs = before.inputs + fresh.inputs[case.after + 1 :]
    found = _ours(parts, folder / "model", case, named, text, negative, inputs, {case.after: picks})
    deltas = {
        name: [delta[:, picks] if s <= case.after else delta for s, delta in enumerate(values)]
        for name, values in found.items()
    }
    latent = fresh.latents[-1]
    with loaded(parts.vae, "", parts.vae_weights.float32), torch.no_grad():
        image_torch = to_uint8(parts.vae.decode(latent))
    image_onnx = to_uint8(run_graph(folder / "model" / "vae_decode.onnx", {"latent": latent})["image"])
    features = run_graph(folder / "model" / "vae_encode.onnx", {"image": _as_float(wanted.image)})["features"]
    return Row(
        case.name, case.title, case.schedule, len(bits),
        max(float(d.abs().max()) for d in wanted.deltas),
        _largest(deltas["torch"], wanted.deltas), _largest(deltas["onnx"], wanted.deltas),
        _largest(fresh.inputs[1:], wanted.inputs), _largest([latent], [wanted.latent]),
        _largest([image_torch.int()], [wanted.image.int()]), _largest([image_onnx.int()], [wanted.image.int()]),
        _largest([features], [wanted.features]),
    )  # fmt: skip


@torch.no_grad()
def _ours(
    parts: Parts, folder: Path, case: Case, named: NamedSchedule, text: Tensor, negative: Tensor | None,
    inputs: list[Tensor], picks: dict[int, list[int]],
) -> dict[str, list[Tensor]]:  # fmt: skip
    """Deltas by our PyTorch module and by the exported graphs, with caches that are pruned and duplicated."""
    read, model = parts.transformer_weights.float32, parts.transformer
    other = read("cfg_uncond")[: case.text] if negative is None else negative
    length = max(len(text), len(other))
    states = torch.zeros(2, length, text.shape[1])
    bias = torch.zeros(2, 1, 1, length)
    for group, values in enumerate((text, other)):
        states[group, : len(values)] = values
        bias[group, ..., len(values) :] = CLOSED
    host = (read("pos_start"), read("word_embed.bias"), read("lvl_embed.weight"), len(inputs))
    head_dim = model.config.head_dim
    with loaded(model, "", read):
        condition = model.condition(states, bias)
        adds = starts(condition.sos, *host)
        by_torch = run_cached(torch_step(model, condition), inputs, adds, named.schedule, head_dim, picks)
    conditions = run_graph(folder / "condition.onnx", {"text_states": states, "text_bias": bias})
    adds = starts(conditions.pop("sos"), *host)
    step = graph_step(folder / "step.onnx", {**conditions, "text_bias": bias})
    return {"torch": by_torch, "onnx": run_cached(step, inputs, adds, named.schedule, head_dim, picks)}


def _largest(found: list[Tensor], wanted: list[Tensor]) -> float:
    if len(found) != len(wanted):
        raise ExportError(f"{len(found)} results to compare with {len(wanted)}")
    return max(float((a - b).abs().max()) for a, b in zip(found, wanted))


def rotary_difference(code: SimpleNamespace, head_dim: int = 96) -> tuple[int, float]:
    """Number of compared schedules, and the largest difference of cosines and sines over all of them."""
    basic = sys.modules["infinity.models.basic"]
    tables = basic.precompute_rope2d_freqs_grid(
        dim=head_dim, dynamic_resolution_h_w=code.resolutions, rope2d_normalized_by_hw=2, pad_to_multiplier=128
    )
    named, largest = schedules(), 0.0
    for entry in named:
        key = str(tuple((1, h, w) for h, w in entry.schedule.scales))
        ours = torch.stack(entry.schedule.rope_all(head_dim))
        theirs = tables[key][:, 0, 0, 0, : ours.shape[1]]
        largest = max(largest, float((ours - theirs).abs().max()))
    if len(named) != sum(len(sizes) for sizes in code.resolutions.values()):
        raise ExportError("the official table has other schedules than ours")
    return len(named), largest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, required=True, help="checkout of the official repository")
    parser.add_argument("--case", nargs="+", choices=tuple(CASES), default=list(CASES))
    parser.add_argument("--size", help="image size instead of 0.06M, e.g. 0.25M")
    parser.add_argument("--out", type=Path, help="folder for README.md and parity.json; other cases there are kept")
    a = parser.parse_args()
    try:
        code = import_official(a.official.resolve())
        report = Report(*rotary_difference(code), {})
        if a.out:
            report.keep(a.out)
        for name in a.case:
            case = with_size(CASES[name], a.size) if a.size else CASES[name]
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                report.rows[(name, case.schedule)] = compare(code, case, Path(folder))
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            if a.out:
                report.write(a.out)
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report.table())
    failures = report.failures()
    for failure in failures:
        print(f"out of bounds: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
