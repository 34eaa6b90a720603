"""VAE names and shapes, multi-scale quantiser, folding of the latent normalisation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ttsvar.infinity.bits import BitQuantizer, resize, tokens
from ttsvar.infinity.train_vae import TrainableVae, fold_norm, warm_start
from ttsvar.infinity.vae import Vae, VaeConfig, to_float, to_uint8

TINY = VaeConfig(8, 8, (1, 2), (1, 2), (0, 1), (1, 1), 1, 1, 4)
GRIDS = [(1, 1), (2, 2), (3, 3), (4, 4)]


def count(module: torch.nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def test_official_sizes() -> None:
    with torch.device("meta"):
        d32, d14 = Vae(VaeConfig.official()), Vae(VaeConfig.official(14, (1, 2, 4, 4)))
    assert round(count(d32.decoder), 2) == 65.09 and round(count(d32.encoder), 2) == 45.03
    assert round(count(d14.decoder), 2) == 48.48


def test_names_are_infinitys() -> None:
    with torch.device("meta"):
        keys = set(Vae(VaeConfig.official()).state_dict())
    expected = {
        "encoder.conv_in.conv.weight", "encoder.down.0.block.0.norm1.norm.weight",
        "encoder.down.1.block.0.nin_shortcut.conv.weight", "encoder.down.0.downsample.conv.conv.weight",
        "encoder.mid.block_2.conv2.conv.bias", "encoder.norm_out.norm.bias", "encoder.conv_out.conv.weight",
        "decoder.conv_in.conv.weight", "decoder.mid.block_1.norm1.norm.weight",
        "decoder.up.4.block.2.conv1.conv.weight", "decoder.up.4.upsample.conv.conv.weight",
        "decoder.up.1.block.0.nin_shortcut.conv.weight", "decoder.norm_out.norm.weight", "decoder.conv_out.conv.bias",
    }  # fmt: skip
    assert expected <= keys
    assert not any(k.startswith(("decoder.up.0.upsample", "encoder.down.4.downsample")) for k in keys)


def test_strides() -> None:
    vae = Vae(TINY)
    features = vae.encode(torch.zeros(2, 3, 16, 12))
    assert features.shape == (2, 8, 8, 6)
    assert vae.decode(features).shape == (2, 3, 16, 12)


def test_bits_rebuild_the_code() -> None:
    torch.manual_seed(0)
    quantizer = BitQuantizer(8, GRIDS, torch.rand(4, 8) + 0.1)
    encoded = quantizer.encode(torch.randn(3, 8, 4, 4))
    rebuilt = sum(quantizer.contribution(b, s) for s, b in enumerate(encoded.bits))
    assert torch.allclose(rebuilt, encoded.cumulative[-1], atol=1e-6)
    for scale in range(1, 4):
        wanted = tokens(resize(encoded.cumulative[scale - 1], GRIDS[scale]))
        assert torch.equal(encoded.inputs[scale - 1], wanted)


def test_a_representable_latent_is_a_fixed_point() -> None:
    quantizer = BitQuantizer(4, [(2, 2)], torch.full((1, 4), 0.3))
    latent = (torch.rand(2, 4, 2, 2) > 0.5).float() * 0.6 - 0.3
    assert torch.allclose(quantizer.encode(latent).cumulative[0], latent)


def test_default_magnitude_is_infinitys() -> None:
    assert torch.allclose(BitQuantizer(32, GRIDS).magnitude, torch.tensor(32**-0.5))


def test_flips_change_later_targets_only() -> None:
    torch.manual_seed(0)
    quantizer = BitQuantizer(8, GRIDS, torch.full((4, 8), 0.5))
    latent = torch.randn(16, 8, 4, 4)
    clean, noisy = quantizer.encode(latent), quantizer.encode(latent, flip=torch.full((16,), 0.3))
    assert torch.equal(clean.bits[0], noisy.bits[0])
    assert not torch.equal(clean.bits[-1], noisy.bits[-1])


def test_folded_normalisation() -> None:
    torch.manual_seed(0)
    model = TrainableVae(TINY, (1, 2), normalise=True)
    model.norm.running_mean.normal_()
    model.norm.running_var.uniform_(0.5, 2)
    model.eval()
    image = torch.randn(2, 3, 8, 8)
    assert torch.allclose(model.encode(image), fold_norm(model).encode(image), atol=1e-5)


def test_images_are_truncated_not_rounded() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    assert np.abs(to_uint8(to_float(image) + 1e-4).numpy().astype(int) - image).max() == 0
    assert to_uint8(torch.full((1, 3, 1, 1), 0.9999)).max() == 254


def test_a_larger_decoder_starts_as_the_smaller_one() -> None:
    torch.manual_seed(0)
    small = Vae(TINY)
    large = Vae(replace(TINY, decoder_mid=2, decoder_blocks=(1, 2)))
    warm_start(large, small)
    latent = torch.randn(1, 8, 4, 4)
    assert torch.allclose(small.decode(latent), large.decode(latent), atol=1e-6)
