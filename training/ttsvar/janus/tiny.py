"""A Janus folder with random weights, in the layout of `onnx-community/Janus-Pro-1B-ONNX`: 6 x 6 tokens, 24 pixels.

    python -m ttsvar.janus.tiny --out ../test/fixtures/models/janus-tiny     # with golden.json, seconds

Everything is that of transformers' ``JanusForConditionalGeneration``; only sizes and the tokenizer (a list of words) are
small.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from transformers import JanusConfig, JanusForConditionalGeneration, JanusVisionConfig, JanusVQVAEConfig, LlamaConfig

from .graphs import export

SEED = 5
SIDE, STRIDE, CODES = 6, 4, 48
SPECIAL = ["<|begin_of_sentence|>", "<|end_of_sentence|>", "<|pad|>", "<begin_of_image>", "<unk>", "<|User|>", "<|Assistant|>"]
WORDS = (
    ": a an the photo of and above below left right two three four red blue green yellow black white brown dog dogs cat cats "
    "car cars cup cups cow cows umbrella bird toy house tree on with in"
).split()
BOS, EOS, PAD, BOI, UNKNOWN = range(5)


def tiny_model(seed: int = SEED) -> JanusForConditionalGeneration:
    width = 32
    text = LlamaConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    vision = JanusVisionConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=SIDE * STRIDE,
        patch_size=STRIDE,
        projection_dim=width,
        num_image_tokens=SIDE * SIDE,
    )
    vq = JanusVQVAEConfig(
        num_embeddings=CODES,
        latent_channels=16,
        base_channels=32,
        channel_multiplier=[1, 1, 1],
        num_res_blocks=0,
        projection_dim=width,
        image_token_embed_dim=width,
    )
    torch.manual_seed(seed)
    config = JanusConfig(text_config=text, vision_config=vision, vq_config=vq, tie_word_embeddings=False)
    model = JanusForConditionalGeneration(config).eval()
    # As initialised every distribution is flat and every picture grey; larger weights make them differ.
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                fan = weight[0].numel()
                scale = 0.5 if "vision_head" in name else 1.6
                weight.normal_(0, scale / fan**0.5 if "embed" not in name else 1.0)
    return model


def describe(model: JanusForConditionalGeneration) -> dict[str, dict]:
    """The folder's JSON files, with the keys of the public one that a loader may read."""
    text, vq = model.config.text_config, model.config.vq_config
    words = SPECIAL + WORDS
    return {
        "config.json": {
            "model_type": "multi_modality",
            "architectures": ["MultiModalityCausalLM"],
            "language_config": {
                "model_type": "llama",
                "vocab_size": text.vocab_size,
                "hidden_size": text.hidden_size,
                "intermediate_size": text.intermediate_size,
                "num_hidden_layers": text.num_hidden_layers,
                "num_attention_heads": text.num_attention_heads,
                "num_key_value_heads": text.num_key_value_heads,
                "max_position_embeddings": text.max_position_embeddings,
            },
            "gen_head_config": {
                "cls": "vision_head",
                "params": {"image_token_embed": text.hidden_size, "image_token_size": CODES, "n_embed": text.hidden_size},
            },
            "gen_vision_config": {
                "cls": f"VQ-{STRIDE}",
                "params": {
                    "image_token_size": CODES,
                    "n_embed": vq.embed_dim,
                    "ch": vq.base_channels,
                    "ch_mult": list(vq.channel_multiplier),
                    "num_res_blocks": vq.num_res_blocks,
                    "z_channels": vq.latent_channels,
                },
            },
            "transformers.js_config": {"kv_cache_dtype": {"fp16": "float16", "q4f16": "float16"}},
        },
        "generation_config.json": {
            "bos_token_id": BOS,
            "eos_token_id": EOS,
            "pad_token_id": PAD,
            "do_sample": True,
            "guidance_scale": 5,
        },
        "preprocessor_config.json": {
            "image_processor_type": "VLMImageProcessor",
            "image_size": SIDE * STRIDE,
            "background_color": [127, 127, 127],
        },
        "processor_config.json": {
            "processor_class": "VLChatProcessor",
            "image_tag": "<image_placeholder>",
            "image_start_tag": "<begin_of_image>",
            "num_image_tokens": SIDE * SIDE,
        },
        "tokenizer_config.json": {
            "tokenizer_class": "LlamaTokenizerFast",
            "bos_token": SPECIAL[BOS],
            "eos_token": SPECIAL[EOS],
            "pad_token": SPECIAL[PAD],
            "unk_token": SPECIAL[UNKNOWN],
            "model_max_length": 128,
        },
        "tokenizer.json": {
            "version": "1.0",
            "added_tokens": [
                {
                    "id": index,
                    "content": token,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
                for index, token in enumerate(SPECIAL)
            ],
            "normalizer": None,
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": None,
            "decoder": None,
            "model": {
                "type": "WordLevel",
                "vocab": {word: index for index, word in enumerate(words)},
                "unk_token": SPECIAL[UNKNOWN],
            },
        },
    }


def main() -> None:
    from .golden import record

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    model = tiny_model()
    export(model, out / "onnx", halves=("language_model", "gen_head"))
    for name, content in describe(model).items():
        (out / name).write_text(json.dumps(content, indent=1) + "\n")
    golden = out.with_name(f"{out.name}-golden.json")
    golden.write_text(json.dumps(record(model), indent=None, separators=(",", ":")) + "\n")
    print(out, golden)


if __name__ == "__main__":
    main()
