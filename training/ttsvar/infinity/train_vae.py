"""Train the VAE and its quantiser; afterwards optionally fine-tune the decoder alone.

    python -m ttsvar.infinity.train_vae --steps 1325 --batch 48
    python -m ttsvar.infinity.train_vae --decoder-only --large-decoder --flip 0.05 --init checkpoints/vae.pt

Joint phase: the encoder's output is whitened by a BatchNorm without affine (folded into ``encoder.conv_out`` when
saved), quantised with a straight-through estimator, and in 40 % of the samples the decoder sees the code truncated
after a random coarser scale (nested dropout), which makes the code coarse-to-fine.
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ttsvar.common.muon import Muon, split_parameters
from ttsvar.common.stream import prefetch
from ttsvar.common.training import Ema, Swapped, append_json, cosine, load_checkpoint, save_checkpoint
from ttsvar.infinity.bits import BitQuantizer
from ttsvar.infinity.vae import Vae, VaeConfig, to_float
from ttsvar.world import World, world_config

EVALUATION_SEED = 9_000


@dataclass(frozen=True)
class Recipe:
    """Image side, token grids and widths: ``cpu`` is the embedded model, ``gpu`` needs an accelerator."""

    size: int
    sides: tuple[int, ...]
    vae: VaeConfig
    world: str = "narrow"


RECIPES = {
    "cpu": Recipe(64, (1, 2, 3, 4, 6, 8), VaeConfig()),
    # 128 px for two cores: patches of 4 x 4 pixels instead of the two finest levels.
    "wide": Recipe(
        128, (1, 2, 3, 4, 5, 6, 8, 10, 13, 16),
        VaeConfig(16, 96, (1, 2), (1, 2), (1, 1), (2, 2), patch=4), "wide",
    ),
    "gpu": Recipe(128, (1, 2, 3, 4, 6, 8, 10, 13, 16), VaeConfig(base=32)),
}


def larger_decoder(config: VaeConfig) -> VaeConfig:
    """Decoder of the last stage: one more residual block in the middle and at the coarsest level."""
    *finer, coarsest = config.decoder_blocks
    return replace(config, decoder_mid=config.decoder_mid + 1, decoder_blocks=(*finer, coarsest + 1))


class TrainableVae(nn.Module):
    """VAE, latent BatchNorm and quantiser as one module for averaging and checkpoints."""

    def __init__(self, config: VaeConfig, sides: tuple[int, ...], normalise: bool):
        super().__init__()
        self.vae = Vae(config)
        self.norm = nn.BatchNorm2d(config.channels, affine=False, momentum=0.05) if normalise else nn.Identity()
        self.quantizer = BitQuantizer(config.channels, [(s, s) for s in sides])

    def encode(self, image: Tensor) -> Tensor:
        return self.norm(keep_channels_last(self.vae.encode(image)).float())


def fold_norm(model: TrainableVae) -> Vae:
    """Copy of the VAE whose ``encoder.conv_out`` includes the latent BatchNorm."""
    vae = copy.deepcopy(model.vae)
    if isinstance(model.norm, nn.BatchNorm2d):
        inverse = (model.norm.running_var + model.norm.eps).rsqrt()
        conv = vae.encoder.conv_out.conv
        with torch.no_grad():
            conv.bias.copy_((conv.bias - model.norm.running_mean) * inverse)
            conv.weight.mul_(inverse.view(-1, 1, 1, 1))
    return vae


def save_vae(path: Path, model: TrainableVae, sides: tuple[int, ...], extra: dict) -> None:
    save_checkpoint(path, {
        "config": model.vae.config.asdict(), "sides": list(sides), "state": fold_norm(model).state_dict(),
        "magnitude": model.quantizer.magnitude.clone(), **extra,
    })  # fmt: skip


def load_vae(path: Path | str) -> tuple[Vae, BitQuantizer]:
    """Frozen VAE and quantiser from a checkpoint of this trainer."""
    checkpoint = load_checkpoint(path)
    config = VaeConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in checkpoint["config"].items()})
    vae = Vae(config)
    vae.load_state_dict(checkpoint["state"])
    vae.to(memory_format=torch.channels_last).eval().requires_grad_(False)
    sides = checkpoint["sides"]
    return vae, BitQuantizer(config.channels, [(s, s) for s in sides], checkpoint["magnitude"]).eval()


def reconstruction_loss(output: Tensor, target: Tensor, edge_weight: float = 0.5) -> tuple[Tensor, Tensor]:
    """L1 + 2 L2 + gradient L1 of ``[B, 3, H, W]``; also returns the mean squared error."""
    difference = output - target
    dx = difference[..., 1:] - difference[..., :-1]
    dy = difference[..., 1:, :] - difference[..., :-1, :]
    square = difference.pow(2).mean()
    return difference.abs().mean() + 2 * square + edge_weight * (dx.abs().mean() + dy.abs().mean()), square


def psnr(output: Tensor, target: Tensor) -> float:
    """Mean PSNR in dB of images in [-1, 1]."""
    error = (output.clamp(-1, 1) - target).pow(2).mean((1, 2, 3))
    return (10 * torch.log10(4 / error)).mean().item()


@torch.no_grad()
def truncation_psnr(model: TrainableVae, images: Tensor) -> list[float]:
    """PSNR after every scale."""
    with torch.autocast(images.device.type, torch.bfloat16):
        latent = model.encode(images)
        return [
            psnr(model.vae.decoder(code.to(memory_format=torch.channels_last)).float(), images)
            for code in model.quantizer.encode(latent).cumulative
        ]


def warm_start(vae: Vae, source: Vae) -> None:
    """Copy all weights; residual blocks that ``source`` lacks start as the identity."""
    missing = vae.load_state_dict(source.state_dict(), strict=False).missing_keys
    state = vae.state_dict()
    for key in missing:
        if ".conv2." in key:
            state[key].zero_()
        elif "nin_shortcut" in key or "block" not in key:
            raise ValueError(f"cannot start from a smaller model: {key} is new")


def keep_channels_last(x: Tensor) -> Tensor:
    """Make the gradient of ``x`` channels-last too; otherwise oneDNN's backward convolutions run 5x slower."""
    if x.requires_grad:
        x.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
    return x


def train(arguments: argparse.Namespace) -> None:
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    recipe, device = RECIPES[arguments.config], arguments.device
    sides = recipe.sides
    config = larger_decoder(recipe.vae) if arguments.large_decoder else recipe.vae
    model = TrainableVae(config, sides, normalise=not arguments.decoder_only)
    if arguments.init:
        vae, quantizer = load_vae(arguments.init)
        warm_start(model.vae, vae)
        model.quantizer.load_state_dict(quantizer.state_dict())
    model.to(device, memory_format=torch.channels_last)
    if arguments.decoder_only:
        model.vae.encoder.requires_grad_(False)
    groups, rest = split_parameters(
        model, lambda _, p: p.ndim == 4 and p.shape[0] >= 32 and p.shape[1] >= 16 and p.shape[2] > 1
    )
    optimisers = [
        Muon(groups, lr=arguments.lr),
        torch.optim.AdamW(rest, lr=arguments.lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    ema = Ema(model)
    world = World(world_config(recipe.size, recipe.world), arguments.seed + 1)
    held_out = to_float(World(world_config(recipe.size, recipe.world), EVALUATION_SEED).batch(0, 256).images).to(device)
    size = arguments.batch
    stream = prefetch(lambda i: world.batch(i * size, size).images)
    start, step, reported = time.time(), 0, 0.0

    def progress() -> float:
        return (time.time() - start) / (60 * arguments.minutes) if arguments.minutes else step / arguments.steps

    while (done := progress()) < 1:
        rate = arguments.lr * min(1, (step + 1) / 100) * cosine(done, warmup=0.0)
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        images = to_float(next(stream)).to(device)
        with torch.autocast(device, torch.bfloat16):
            latent = model.encode(images)
            flip = torch.rand(size) * arguments.flip * (torch.rand(size) < 0.5) if arguments.flip else None
            flip = flip.to(device) if flip is not None else None
            encoded = model.quantizer.encode(latent, flip, 0.0 if arguments.decoder_only else 0.01)
            code = encoded.cumulative[-1].clone()
            pick = torch.randint(arguments.nested_from, len(sides) - 1, (size,))
            drop = torch.rand(size) < arguments.nested
            for scale in range(len(sides) - 1):
                chosen = (drop & (pick == scale)).to(device)
                code[chosen] = encoded.cumulative[scale][chosen]
            if not arguments.decoder_only:
                code = latent + (code - latent).detach()
            elif torch.rand(()) < arguments.reduced:
                code, images = F.avg_pool2d(code.float(), 2), F.avg_pool2d(images, 2)
            output = model.vae.decoder(code.to(memory_format=torch.channels_last))
        loss, square = reconstruction_loss(keep_channels_last(output).float(), images)
        commitment = torch.stack([F.mse_loss(latent, c) for c in encoded.cumulative]).mean()
        if not arguments.decoder_only:
            loss = loss + 0.25 * commitment
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(rest, 1.0)
        for optimiser in optimisers:
            optimiser.step()
        step += 1
        if step % 5 == 0:
            ema.update(model, min(0.98, 1 - 4 / (step / 5 + 8)))
        elapsed = time.time() - start
        if step == 20 or elapsed - reported > 60:
            reported = elapsed
            with Swapped(model, ema.state_dict()):
                quality = truncation_psnr(model, held_out[:128])
            record = {
                "minutes": round(elapsed / 60, 2), "step": step, "images_per_second": round(step * size / elapsed, 1),
                "loss": round(loss.item(), 4), "mse": round(square.item(), 5),
                "commitment": round(commitment.item(), 3), "psnr": [round(x, 2) for x in quality],
                "magnitude": [round(m.mean().item(), 3) for m in model.quantizer.magnitude],
            }  # fmt: skip
            print(record, flush=True)
            append_json(Path(arguments.curve), {"phase": "decoder" if arguments.decoder_only else "joint", **record})
    model.load_state_dict(ema.state_dict())
    model.eval()
    quality = truncation_psnr(model, held_out)
    print("final PSNR by truncation", [round(x, 2) for x in quality], "images", step * size, flush=True)
    save_vae(Path(arguments.out), model.cpu(), sides, {"psnr": quality, "images": step * size, "args": vars(arguments)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=sorted(RECIPES), default="cpu")
    parser.add_argument("--steps", type=int, default=1_325)
    parser.add_argument("--minutes", type=float, default=0, help="wall-clock schedule instead of --steps")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--nested", type=float, default=0.4, help="share of samples decoded from a truncated code")
    parser.add_argument(
        "--nested-from", type=int, default=0, help="first scale that such a code may end with; those before it need not draw"
    )
    parser.add_argument("--flip", type=float, default=0.0, help="decoder only: largest share of flipped bits")
    parser.add_argument(
        "--reduced", type=float, default=0.0, help="decoder only: share of batches at half size, for cheap previews"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--init", default="")
    parser.add_argument("--decoder-only", action="store_true")
    parser.add_argument("--large-decoder", action="store_true")
    parser.add_argument("--out", default="checkpoints/vae.pt")
    parser.add_argument("--curve", default="curves/vae.jsonl")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
