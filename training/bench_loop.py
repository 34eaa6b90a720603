"""The embedded generator as a loop in PyTorch, for `npm run bench -- --against pytorch`: answers requests on stdin, a line of
JSON each.

    {"loop": "best", "candidates": 32, "seed": 1}  ->  {"transformer": ms, "decode": ms, "cpu": ms, "peak": bytes}
    {"loop": "gemm"}                               ->  {"gflops": float32 product of two matrices of 2048}

Loops: ``best``, the fastest float32 loop that we could write: the first scale once, keys and values written into place, one
product for query, key and value, PyTorch's fused attention, norm and GELU, one decode at the end in the best block. ``published``:
candidates as a batch from the first scale on, keys and values concatenated, a decode at full size after every scale;
``published-bf16``: the same under autocast. ``widths``: candidates that each scale computes, where a search prunes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ttsvar.infinity.bits import from_tokens, resize, to_tokens
from ttsvar.infinity.layers import MAX_LOG_SCALE
from ttsvar.infinity.sample import draw, guided
from ttsvar.infinity.serving.loading import Placement, load_embedded
from ttsvar.infinity.vae import to_uint8


class Loops:
    """One prompt; texts and conditions are computed before any clock starts."""

    def __init__(self, folder: Path, prompt: str):
        loaded = load_embedded(folder, Placement())
        self.model, self.shape = loaded.model.eval(), loaded.shapes[0]
        self.vae = loaded.vae.eval().to(memory_format=torch.channels_last)
        self.settings, self.quantizer = self.shape.defaults, self.shape.quantizer
        states = loaded.text(torch.tensor([loaded.tokenize(prompt)])).float()
        both = torch.cat([states, self.model.unconditional(states.shape[1])])
        self.condition = self.model.condition(both)
        self.ropes = [self.shape.schedule.rope(scale, self.model.config.head_dim) for scale in range(self.shape.scales)]
        self.lengths = self.shape.schedule.lengths
        self.block = 16
        self.fast = [FastBlock(self, index) for index in range(self.model.config.depth)]

    def published(self, widths: list[int], seed: int, autocast: bool) -> dict[str, float]:
        noise, clock = torch.Generator().manual_seed(seed), Clock()
        latent, past = torch.zeros(widths[0], self.quantizer.dim, *self.quantizer.grids[-1]), None
        for scale, width in enumerate(widths):
            if width != len(latent):
                keep = torch.arange(width)
                latent, rows = latent[keep], torch.cat([keep, keep + len(latent)])
                past = [(k[rows], v[rows]) for k, v in past]
            z, x_add = self._input(latent, scale)
            with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
                delta, new = self.model.step(torch.stack([z, z]), x_add, self.ropes[scale], self.condition, past)
            past = [(torch.cat([a, c], 2), torch.cat([b, d], 2)) for (a, b), (c, d) in zip(past, new)] if past else new
            latent = self._drawn(delta.float(), latent, scale, noise)
            clock.lap("transformer")
            self._decode(latent, autocast)
            clock.lap("decode")
        return clock.times

    def best(self, widths: list[int], seed: int) -> dict[str, float]:
        noise, clock, count = torch.Generator().manual_seed(seed), Clock(), widths[0]
        config = self.model.config
        latent, done = torch.zeros(count, self.quantizer.dim, *self.quantizer.grids[-1]), 0
        shape = (2 * count, config.heads, sum(self.lengths), config.head_dim)
        caches = [(torch.empty(shape), torch.empty(shape)) for _ in self.fast]
        for scale, length in enumerate(self.lengths):
            rows = 1 if scale == 0 else count
            z, x_add = self._input(latent[:rows], scale)
            x = self.model.word_embed(z) + x_add[:, None]
            for block, cache in zip(self.fast, caches):
                x = block(x, self.ropes[scale], cache, done)
            done += length
            delta = self.model.output(x, self.condition.head_ss).expand(2, count, -1, -1)
            latent = self._drawn(delta, latent, scale, noise)
        clock.lap("transformer")
        self._decode(latent, False)
        clock.lap("decode")
        return clock.times

    def _input(self, latent: Tensor, scale: int) -> tuple[Tensor, Tensor]:
        if scale == 0:
            return torch.zeros(len(latent), 1, self.model.config.token_channels), self.model.first_input(self.condition)
        z = to_tokens(resize(latent, self.quantizer.grids[scale]), self.shape.schedule.patchify)
        return z, self.model.level_input(scale, 2)

    def _drawn(self, delta: Tensor, latent: Tensor, scale: int, noise: torch.Generator) -> Tensor:
        logits = guided(delta[0], delta[1], self.settings.guidance[scale], self.settings.temperature[scale])
        bits = draw(logits, torch.rand(logits.shape, generator=noise), self.settings.top_p)
        grid = from_tokens(bits, self.shape.schedule.scales[scale], self.shape.schedule.patchify)
        return latent + self.quantizer.contribution(grid, scale)

    def _decode(self, latent: Tensor, autocast: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
            for part in latent.split(self.block):
                to_uint8(self.vae.decode(part.contiguous(memory_format=torch.channels_last)).float())


class FastBlock:
    """A block of the transformer with what never changes put together beforehand."""

    def __init__(self, loops: Loops, index: int):
        block, condition = loops.model.blocks[index], loops.condition
        self.block, self.heads = block, loops.model.config.heads
        modulation = (block.ada_gss.squeeze(1) + condition.gss)[:, :, None, None]
        self.gamma1, self.gamma2, scale1, scale2, self.shift1, self.shift2 = modulation.unbind(1)
        self.scale1, self.scale2 = 1 + scale1, 1 + scale2
        sa = block.sa
        self.qkv_bias = torch.cat([sa.q_bias, sa.zero_k_bias, sa.v_bias])
        self.head_scale = sa.scale_mul_1H11.clamp_max(MAX_LOG_SCALE).exp().view(1, 1, -1, 1)
        keys, self.values = condition.memory[index]
        self.keys = keys.transpose(-1, -2).contiguous()

    def __call__(self, x: Tensor, rope: tuple[Tensor, Tensor], cache: tuple[Tensor, Tensor], done: int) -> Tensor:
        groups, rows, length, width = x.shape
        block = self.block
        h = torch.addcmul(self.shift1, F.layer_norm(x, (width,), eps=1e-6), self.scale1)
        qkv = F.linear(h, block.sa.mat_qkv.weight, self.qkv_bias).view(groups * rows, length, 3, self.heads, -1)
        q, k, v = qkv.unbind(2)
        turn = torch.complex(*rope)[None, :, None]
        q, k = (self._turned(F.normalize(y, dim=-1), turn) for y in (q, k))
        q = (q * self.head_scale).transpose(1, 2)
        keys, values = cache
        if rows == 1 and len(keys) > groups:
            # The first scale: one row a group stands for all.
            for store, y in ((keys, k), (values, v)):
                store.view(groups, -1, *store.shape[1:])[:, :, :, :length] = y.transpose(1, 2)[:, None]
            keys, values = k.transpose(1, 2), v.transpose(1, 2)
        else:
            keys[:, :, done : done + length], values[:, :, done : done + length] = k.transpose(1, 2), v.transpose(1, 2)
            keys, values = keys[:, :, : done + length], values[:, :, : done + length]
        out = F.scaled_dot_product_attention(q, keys, values, scale=1.0).transpose(1, 2).reshape(x.shape)
        x = torch.addcmul(x, self.gamma1, block.sa.proj(out))
        h = block.ca_norm(x).view(groups, rows * length, width)
        q = block.ca.mat_q(h).view(groups, rows * length, self.heads, -1).transpose(1, 2)
        out = F.scaled_dot_product_attention(q, self.keys, self.values, scale=block.ca.scale)
        x = x + block.ca.proj(out.transpose(1, 2).reshape(x.shape))
        h = torch.addcmul(self.shift2, F.layer_norm(x, (width,), eps=1e-6), self.scale2)
        return torch.addcmul(x, self.gamma2, block.ffn(h))

    @staticmethod
    def _turned(x: Tensor, turn: Tensor) -> Tensor:
        return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turn).flatten(-2)


class Clock:
    """Milliseconds by part."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        now = time.perf_counter()
        self.times[part] = self.times.get(part, 0.0) + 1000 * (now - self._last)
        self._last = now


def measured(loops: Loops, request: dict) -> dict[str, float]:
    widths = request.get("widths") or [request["candidates"]] * len(loops.lengths)
    forget_peak()
    before = time.process_time()
    if request["loop"] == "best":
        times = loops.best(widths, request["seed"])
    else:
        times = loops.published(widths, request["seed"], request["loop"].endswith("bf16"))
    return {**times, "cpu": 1000 * (time.process_time() - before), "peak": peak()}


def gemm(size: int = 2048) -> dict[str, float]:
    a, b = torch.rand(size, size), torch.rand(size, size)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return {"gflops": 2 * size**3 / min(times) / 1e9}


def forget_peak() -> None:
    """Linux: the peak counts from now on. Elsewhere it stays that of the whole process."""
    if os.path.exists("/proc/self/clear_refs"):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def tune(loops: Loops) -> dict[str, int]:
    """The number of threads and the block of decoding that are fastest here."""
    rows = [16] * len(loops.lengths)

    def fastest(options: list[int], use, part: str) -> int:  # noqa: ANN001
        def took(option: int) -> float:
            use(option)
            return min(loops.best(rows, 0)[part] for _ in range(2))

        chosen = min(options, key=took)
        use(chosen)
        return chosen

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = fastest(sorted({1, max(1, cores // 2), cores}), torch.set_num_threads, "transformer")
    block = fastest([4, 16, 64], lambda size: setattr(loops, "block", size), "decode")
    return {"threads": threads, "block": block}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embedded", type=Path, required=True, metavar="DIR", help="an exported model folder")
    parser.add_argument("--prompt", default="a photo of a blue dog and a red umbrella")
    options = parser.parse_args()
    with torch.inference_mode():
        loops = Loops(options.embedded, options.prompt)
        print(json.dumps({"torch": torch.__version__, **tune(loops)}), flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            answer = gemm() if request["loop"] == "gemm" else measured(loops, request)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
