"""The draft decoder: size, distillation, and a folder that is given one."""

import json
import shutil
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ttsvar.infinity.add_draft import add_draft
from ttsvar.infinity.bits import BitQuantizer
from ttsvar.infinity.draft import DraftConfig, DraftDecoder
from ttsvar.infinity.flops import count_flops
from ttsvar.infinity.train_draft import agreement, load_draft, train, truncated
from ttsvar.infinity.vae import Vae, VaeConfig

TINY = VaeConfig(8, 8, (1, 2), (1, 2), (1, 1), (1, 1), groups=4)


def test_costs_a_few_per_cent_of_the_embedded_decoder() -> None:
    from ttsvar.infinity.train_vae import larger_decoder

    vae, latent = Vae(larger_decoder(VaeConfig())), torch.zeros(1, 32, 8, 8)
    draft = DraftDecoder(DraftConfig.of(vae.config))
    with torch.no_grad():
        share = count_flops(lambda: draft.decode(latent)) / count_flops(lambda: vae.decode(latent))
        assert draft.decode(latent).shape == vae.decode(latent).shape
    assert share < 0.08


@pytest.mark.parametrize("config", [TINY, VaeConfig.official(16, (1, 2, 2, 2, 2)), VaeConfig(8, 32, (1, 2), (1, 2), (1, 1), (1, 1), patch=4)])
def test_has_the_stride_of_its_vae(config: VaeConfig) -> None:
    draft = DraftDecoder(DraftConfig.of(config))
    assert draft.config.stride == config.stride
    assert draft(torch.zeros(1, config.channels, 3, 2)).shape == (1, 3, 3 * config.stride, 2 * config.stride)


def test_truncated_codes_are_those_of_some_scale() -> None:
    torch.manual_seed(0)
    quantizer = BitQuantizer(4, [(1, 1), (2, 2), (3, 3)])
    latent = torch.randn(16, 4, 3, 3)
    codes = torch.stack(quantizer.encode(latent).cumulative)
    for row, code in enumerate(truncated(quantizer, latent, 0.0)):
        assert any(torch.equal(code, each[row]) for each in codes)


def test_distils_and_gives_a_folder_its_draft_decoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae, quantizer = Vae(TINY), BitQuantizer(8, [(1, 1), (2, 2), (4, 4)])
    with torch.no_grad():
        vae.decoder.conv_out.conv.weight.mul_(6)  # pictures with something to learn in them
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    options = SimpleNamespace(device="cpu", lr=5e-3, minutes=0, steps=80, flip=0.1, batch=8, init="",
                              out=tmp_path / "draft.pt", curve=tmp_path / "curve.jsonl")  # fmt: skip
    untrained = DraftDecoder(DraftConfig.of(TINY))
    from ttsvar.infinity.vae import to_float

    before = agreement(untrained, vae, quantizer, to_float(images))
    trained = train(vae, quantizer, repeat(images), images, options)
    after = agreement(trained, vae, quantizer, to_float(images))
    assert min(new - old for new, old in zip(after, before)) > 1

    folder = tmp_path / "model"
    folder.mkdir()
    manifest = {"architecture": {"codeChannels": 8}, "image": {"stride": 2}, "graphs": {"step": 1}, "flops": {"text": 2}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    add_draft(load_draft(options.out), folder)
    written = json.loads((folder / "manifest.json").read_text())
    assert written["graphs"]["step"] == 1 and written["graphs"]["vae_draft"]["file"] == "vae_draft.onnx"
    assert written["flops"]["draftPerLatentCell"] > 0
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "vae_draft.onnx"]

    other = tmp_path / "other"
    shutil.copytree(folder, other)
    manifest["image"]["stride"] = 4
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="stride 2"):
        add_draft(load_draft(options.out), other)


def test_learns_from_a_released_vae_and_a_folder_of_pictures(tmp_path: Path) -> None:
    from PIL import Image

    from ttsvar.infinity.official.draft_data import official_vae, picture_batches
    from ttsvar.infinity.official.errors import ExportError

    config = VaeConfig(8, 8, (1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1, 1, 4)
    torch.save(Vae(config).state_dict(), tmp_path / "vae.pth")
    with pytest.raises(ExportError, match="no pictures"):
        next(picture_batches(tmp_path, 16, 1, 0))
    Image.new("RGB", (40, 24), (200, 30, 60)).save(tmp_path / "red.png")
    vae, quantizer = official_vae(tmp_path / "vae.pth", 16, {8: config})
    assert quantizer.grids == [(1, 1), (2, 2), (4, 4)]
    with pytest.raises(ExportError, match="--size 20"):
        official_vae(tmp_path / "vae.pth", 20, {8: config})
    batches = picture_batches(tmp_path, 16, 2, 0)
    options = SimpleNamespace(device="cpu", lr=2e-3, minutes=0, steps=2, flip=0.1, batch=2, init="",
                              out=tmp_path / "draft.pt", curve=tmp_path / "curve.jsonl")  # fmt: skip
    draft = train(vae, quantizer, batches, next(batches), options)
    assert draft.config.stride == 4
