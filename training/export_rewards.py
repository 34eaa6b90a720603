"""Exports reward models from their PyTorch checkpoints to folders that tts-var loads.

    training/.venv/bin/python training/export_rewards.py image-reward --checkpoint ImageReward.pt --tokenizer bert-base-uncased/ --out DIR
    training/.venv/bin/python training/export_rewards.py hps-v2 --checkpoint HPS_v2.1_compressed.pt --tokenizer clip-vit-h-14/ --out DIR
    training/.venv/bin/python training/export_rewards.py pickscore --checkpoint PickScore_v1/ --tokenizer PickScore_v1/ --out DIR
    training/.venv/bin/python training/export_rewards.py head --checkpoint sac+logos+ava1-l14-linearMSE.pth --out CLIP_FOLDER
    training/.venv/bin/python training/export_rewards.py tiny --out test/fixtures/models

`tiny` writes random models of the same architectures and layouts, a few dozen kilobytes each, for the tests.

The networks of ImageReward (BLIP) and of OpenCLIP (HPS v2, PickScore) are written anew in `ttsvar.verifiers.rewards` under the
originals' weight names, because their packages do not install beside this one; the tests compare them with the
classes of transformers (BLIP, CLIP) under shared random weights. SigLIP is transformers' own class. LAION's and V2.5's
heads are stacks of torch.nn.Linear and compared as such. The originals' packages themselves were not run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.verifiers.rewards import folders, tiny_tokenizers
from ttsvar.verifiers.rewards.hf_clip import open_clip_from_transformers
from ttsvar.verifiers.rewards.image_reward import TEXT_LENGTH, ImageReward, ImageRewardConfig, image_reward_from_checkpoint
from ttsvar.verifiers.rewards.open_clip import OpenClip, OpenClipConfig, open_clip_from_checkpoint

LICENSES = {"image-reward": "Apache-2.0", "hps-v2": "Apache-2.0", "pickscore": "MIT"}
SOURCES = {
    "image-reward": "https://github.com/THUDM/ImageReward",
    "hps-v2": "https://github.com/tgxs002/HPSv2",
    "pickscore": "https://github.com/yuvalkirstain/PickScore",
}
TINY_CLIP = dict(
    image_size=32, patch=8, vision_width=16, vision_depth=2, vision_heads=2, text_width=16, text_depth=2, text_heads=2,
    embed=12,
)  # fmt: skip


def read_state(path: Path) -> dict[str, Tensor]:
    """State dict of a .pt/.pth/.bin/.safetensors file, or of a folder with one. Never unpickles code."""
    if path.is_dir():
        found = [p for name in ("model.safetensors", "pytorch_model.bin") if (p := path / name).exists()]
        if not found:
            raise FileNotFoundError(f"{path} holds neither model.safetensors nor pytorch_model.bin")
        path = found[0]
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    return content.get("state_dict", content)


def image_reward_flops(c: ImageRewardConfig) -> int:
    tokens = (c.image_size // c.patch) ** 2 + 1
    vision = folders.transformer_flops(tokens, c.vision_width, 4 * c.vision_width, c.vision_depth)
    cross = 4 * c.text_depth * tokens * c.vision_width * c.text_width
    return vision + cross + folders.transformer_flops(TEXT_LENGTH, c.text_width, c.text_hidden, c.text_depth)


def clip_flops(c: OpenClipConfig) -> int:
    """Image tower only: the text tower runs once per prompt."""
    tokens = (c.image_size // c.patch) ** 2 + 1
    return folders.transformer_flops(tokens, c.vision_width, 4 * c.vision_width, c.vision_depth)


def export(kind: str, checkpoint: Path, tokenizer: Path, out: Path) -> None:
    state = read_state(checkpoint)
    if kind == "image-reward":
        reward = image_reward_from_checkpoint(state)
        folders.write_image_reward(reward, tokenizer, out)
        flops = image_reward_flops(reward.config)
    else:
        if kind == "hps-v2":
            model = open_clip_from_checkpoint(state)
        else:
            model = open_clip_from_transformers(state, json.loads((checkpoint / "config.json").read_text()))
        folders.write_dual_tower(model, tokenizer, out)
        flops = clip_flops(model.config)
    folders.write_manifest(out, kind, LICENSES[kind], flops, SOURCES[kind])


class PooledTower(nn.Module):
    """One of transformers' SigLIP towers, reduced to input -> pooler_output."""

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, value: Tensor) -> Tensor:
        return self.tower(value).pooler_output


def siglip_vision(**sizes: int) -> PooledTower:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    return PooledTower(SiglipVisionModel(SiglipVisionConfig(attn_implementation="eager", **sizes)))


def siglip_text(**sizes: int) -> PooledTower:
    from transformers import SiglipTextConfig, SiglipTextModel

    return PooledTower(SiglipTextModel(SiglipTextConfig(attn_implementation="eager", **sizes)))


def linear_stack(*widths: int) -> dict[str, Tensor]:
    """State dict of a random stack of linear layers, named as the aesthetic predictors name theirs."""
    layers = [nn.Linear(a, b) for a, b in zip(widths, widths[1:])]
    return {f"layers.{2 * i}.{k}": v.detach() for i, m in enumerate(layers) for k, v in m.state_dict().items()}


def write_tiny(out: Path) -> None:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        bert, clip = Path(scratch, "bert"), Path(scratch, "clip")
        tokenizer, config = tiny_tokenizers.bert_tokenizer()
        tiny_tokenizers.save(tokenizer, config, bert)
        sizes = ImageRewardConfig(
            image_size=32, patch=8, vision_width=16, vision_depth=2, vision_heads=2, text_width=16, text_depth=2,
            text_heads=2, text_hidden=32, positions=64, vocabulary=tokenizer.get_vocab_size(), head=(8, 6, 4, 3, 1),
        )  # fmt: skip
        reward = ImageReward(sizes)
        with torch.no_grad():  # random weights of default size give nearly equal scores for all images
            for parameter in reward.blip.parameters():
                parameter.mul_(2.0)
        folder = out / "image-reward-tiny"
        folders.write_image_reward(reward, bert, folder)
        folders.write_manifest(folder, folder.name, "CC0-1.0", image_reward_flops(sizes), "random weights")

        tokenizer, config = tiny_tokenizers.clip_tokenizer(context=20)
        tiny_tokenizers.save(tokenizer, config, clip)
        sizes_ = OpenClipConfig(vocabulary=tokenizer.get_vocab_size(), context=20, **TINY_CLIP)
        for name in ("hps-v2-tiny", "pickscore-tiny", "aesthetic-laion-tiny"):
            folder = out / name
            folders.write_dual_tower(OpenClip(sizes_), clip, folder)
            if name == "aesthetic-laion-tiny":
                folders.write_head(linear_stack(12, 8, 6, 1), folder)
            folders.write_manifest(folder, name, "CC0-1.0", clip_flops(sizes_), "random weights")

    write_tiny_siglip(out)


TINY_SIGLIP = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)


def write_tiny_siglip(out: Path) -> None:
    vision = dict(TINY_SIGLIP, image_size=32, patch_size=8)
    folder = out / "aesthetic-v25-tiny"
    write_siglip_vision(siglip_vision(**vision), folder)
    folders.write_json(folder / "config.json", {"model_type": "siglip_vision_model", "image_size": 32})
    folders.write_head(linear_stack(16, 8, 4, 1), folder)
    folders.write_manifest(folder, folder.name, "CC0-1.0", folders.transformer_flops(16, 16, 32, 2), "random weights")

    folder, context = out / "siglip-tiny", 40
    tokenizer, config = tiny_tokenizers.siglip_tokenizer(context)
    tiny_tokenizers.save(tokenizer, config, folder)
    text = dict(TINY_SIGLIP, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=context, projection_size=16)
    write_siglip_vision(siglip_vision(**vision), folder)
    ids = {"input_ids": torch.ones(2, context, dtype=torch.long)}
    tower = siglip_text(**text, bos_token_id=1, eos_token_id=1)
    folders.export_graph(tower, ids, "pooler_output", folder / "onnx/text_model.onnx")
    # No manifest, as the folders of the hub.
    config = {"model_type": "siglip", "logit_scale": 2.3, "logit_bias": -1.5, "text_config": text, "vision_config": vision}
    folders.write_json(folder / "config.json", config)


def write_siglip_vision(tower: nn.Module, folder: Path) -> None:
    pixels = {"pixel_values": torch.rand(2, 3, 32, 32)}
    folders.export_graph(tower, pixels, "pooler_output", folder / "onnx/vision_model.onnx")
    folders.write_preprocessor(
        folder, 32, image_processor_type="SiglipImageProcessor", size={"height": 32, "width": 32},
        do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("image-reward", "hps-v2", "pickscore", "head", "tiny"))
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.kind == "tiny":
        write_tiny(args.out)
        return
    if args.checkpoint is None:
        parser.error("--checkpoint is needed")
    if args.kind == "head":
        folders.write_head(read_state(args.checkpoint), args.out)
        return
    if args.tokenizer is None:
        parser.error("--tokenizer is needed: the folder with tokenizer.json and tokenizer_config.json")
    export(args.kind, args.checkpoint, args.tokenizer, args.out)


if __name__ == "__main__":
    main()
