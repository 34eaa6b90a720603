"""The six graphs of a Janus folder as transformers.js names them, from transformers' PyTorch classes.

The language model is written out (``CachedLlama``): its cache goes in and out as tensors, which the class keeps in an
object. ``golden.py`` compares it with the class.
"""

from __future__ import annotations

import io
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from transformers import JanusForConditionalGeneration

OPSET = 17


class PrepareInputs(nn.Module):
    """Embedded text; where ``images_seq_mask`` is set, features of the images take its place."""

    def __init__(self, model: JanusForConditionalGeneration):
        super().__init__()
        self.embed = model.model.language_model.embed_tokens
        self.vision = model.model.vision_model.embeddings.patch_embedding
        width = self.embed.weight.shape[1]
        self.width = width
        self.project = nn.Linear(self.vision.out_channels, width)

    def forward(self, input_ids: Tensor, pixel_values: Tensor, images_seq_mask: Tensor, images_emb_mask: Tensor) -> Tensor:
        embeds = self.embed(input_ids)
        # The only axis to be inferred is the first: there may be no images at all.
        patches = self.vision(pixel_values.flatten(0, 1)).permute(0, 2, 3, 1)
        features = self.project(patches).reshape(-1, self.width)[images_emb_mask.reshape(-1)]
        return embeds.masked_scatter(images_seq_mask.unsqueeze(-1), features)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


class CachedLlama(nn.Module):
    def __init__(self, model: JanusForConditionalGeneration):
        super().__init__()
        llama = model.model.language_model
        self.layers, self.norm, self.config = llama.layers, llama.norm, llama.config
        self.register_buffer("frequencies", llama.rotary_emb.inv_freq.clone())

    def forward(self, inputs_embeds: Tensor, attention_mask: Tensor, position_ids: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        heads, shared = self.config.num_attention_heads, self.config.num_key_value_heads
        side = self.config.hidden_size // heads
        angles = position_ids.unsqueeze(-1).float() * self.frequencies
        angles = torch.cat([angles, angles], -1).unsqueeze(1)
        cos, sin = angles.cos(), angles.sin()
        rows, length = inputs_embeds.shape[0], inputs_embeds.shape[1]
        before = past[0].shape[2]
        # Query i sees everything up to before + i that the mask leaves open.
        places = torch.arange(attention_mask.shape[1])
        causal = places.unsqueeze(0) <= (torch.arange(length) + before).unsqueeze(1)
        open_ = causal.unsqueeze(0) & (attention_mask.unsqueeze(1) != 0)
        bias = torch.where(open_, 0.0, torch.finfo(torch.float32).min).unsqueeze(1)
        x, present = inputs_embeds, []
        for index, layer in enumerate(self.layers):
            attention = layer.self_attn
            y = layer.input_layernorm(x)
            split = lambda z, count: z.view(rows, length, count, side).transpose(1, 2)  # noqa: E731
            q = rotate(split(attention.q_proj(y), heads), cos, sin)
            k = torch.cat([past[2 * index], rotate(split(attention.k_proj(y), shared), cos, sin)], 2)
            v = torch.cat([past[2 * index + 1], split(attention.v_proj(y), shared)], 2)
            present += [k, v]
            k, v = (z.repeat_interleave(heads // shared, 1) for z in (k, v))
            weights = torch.softmax(q @ k.transpose(2, 3) / side**0.5 + bias, -1)
            x = x + attention.o_proj((weights @ v).transpose(1, 2).reshape(rows, length, heads * side))
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self.norm(x), *present


class Sequential(nn.Sequential):
    """With a name for what it does; nothing else."""


class Decode(nn.Module):
    def __init__(self, model: JanusForConditionalGeneration):
        super().__init__()
        self.vq = model.model.vqmodel

    def forward(self, generated_tokens: Tensor) -> Tensor:
        return self.vq.decode(generated_tokens)


def store_as_half(graph: onnx.GraphProto, least: int = 256) -> None:
    """Weights in half precision, widened by the graph: half the file, computed in float32."""
    casts = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != "float32" or values.size < least:
            continue
        half = numpy_helper.from_array(values.astype("float16"), f"{tensor.name}.half")
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
    for node in reversed(casts):
        graph.node.insert(0, node)


def halve_cache(graph: onnx.GraphProto) -> None:
    """Keys and values in half precision at the border, as exports for GPUs have them."""
    for names, into in ((graph.input, True), (graph.output, False)):
        for value in names:
            if not value.name.startswith(("past_key_values.", "present.")):
                continue
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
            inner = f"{value.name}.wide"
            for node in graph.node:
                for names_of in (node.input, node.output):
                    for at, name in enumerate(names_of):
                        if name == value.name:
                            names_of[at] = inner
            kind = TensorProto.FLOAT if into else TensorProto.FLOAT16
            ends = ([value.name], [inner]) if into else ([inner], [value.name])
            cast = helper.make_node("Cast", *ends, to=kind)
            graph.node.insert(0, cast) if into else graph.node.append(cast)


def write(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], axes: dict, path: Path, half: bool) -> None:
    buffer = io.BytesIO()
    with torch.no_grad():
        torch.onnx.export(
            module.eval(), tuple(inputs.values()), buffer, input_names=list(inputs), output_names=outputs,
            dynamic_axes=axes, opset_version=OPSET, dynamo=False, do_constant_folding=True,
        )  # fmt: skip
    model = onnx.load_from_string(buffer.getvalue())
    if half:
        store_as_half(model.graph)
        halve_cache(model.graph)
    model.producer_name, model.producer_version, model.doc_string = "tts-var", "", ""
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def export(model: JanusForConditionalGeneration, folder: Path, halves: tuple[str, ...] = ()) -> None:
    """All graphs in float32 into ``folder``, and those named in ``halves`` as ``_fp16`` as well."""
    folder.mkdir(parents=True, exist_ok=True)
    text, vq = model.config.text_config, model.config.vq_config
    tokens, width = model.config.vision_config.num_image_tokens, text.hidden_size
    side = width // text.num_attention_heads
    size = model.config.vision_config.image_size
    past = {
        f"past_key_values.{layer}.{kind}": torch.randn(2, text.num_key_value_heads, 5, side)
        for layer in range(text.num_hidden_layers)
        for kind in ("key", "value")
    }
    present = [name.replace("past_key_values", "present") for name in past]
    batch, whole = {0: "batch_size"}, {0: "batch_size", 1: "total_sequence_length"}
    line = {0: "batch_size", 1: "sequence_length"}
    image = torch.zeros(1, 1, 3, size, size)
    graphs = {
        "prepare_inputs_embeds": (
            PrepareInputs(model),
            {
                "input_ids": torch.ones(1, tokens + 3, dtype=torch.int64),
                "pixel_values": image,
                "images_seq_mask": torch.tensor([[False] * 3 + [True] * tokens]),
                "images_emb_mask": torch.ones(1, 1, tokens, dtype=torch.bool),
            },
            ["inputs_embeds"],
            {
                "input_ids": line,
                "pixel_values": {0: "batch_size", 1: "num_images"},
                "images_seq_mask": line,
                "images_emb_mask": {0: "batch_size", 1: "num_images", 2: "num_image_tokens"},
                "inputs_embeds": line,
            },
        ),
        "language_model": (
            CachedLlama(model),
            {
                "inputs_embeds": torch.randn(2, 3, width),
                "attention_mask": torch.ones(2, 8, dtype=torch.int64),
                "position_ids": torch.arange(5, 8).repeat(2, 1),
                **past,
            },
            ["last_hidden_state", *present],
            {
                "inputs_embeds": line,
                "attention_mask": whole,
                "position_ids": line,
                "last_hidden_state": line,
                **{name: {0: "batch_size", 2: "past_sequence_length"} for name in past},
                **{name: {0: "batch_size", 2: "total_sequence_length"} for name in present},
            },
        ),
        "lm_head": (model.lm_head, {"last_hidden_state": torch.randn(2, 1, width)}, ["logits"], {"last_hidden_state": line}),
        "gen_head": (
            model.model.generation_head,
            {"last_hidden_state": torch.randn(2, 1, width)},
            ["logits"],
            {"last_hidden_state": line, "logits": line},
        ),
        "gen_img_embeds": (
            Sequential(model.model.generation_embeddings, model.model.generation_aligner),
            {"image_ids": torch.zeros(2, 1, dtype=torch.int64)},
            ["inputs_embeds"],
            {"image_ids": line, "inputs_embeds": line},
        ),
        "image_decode": (
            Decode(model),
            {"generated_tokens": torch.zeros(2, vq.num_patches**2, dtype=torch.int64)},
            ["decoded_image"],
            {"generated_tokens": batch, "decoded_image": batch},
        ),
    }
    for name, (module, inputs, outputs, axes) in graphs.items():
        write(module, inputs, outputs, axes, folder / f"{name}.onnx", half=False)
        if name in halves:
            write(module, inputs, outputs, axes, folder / f"{name}_fp16.onnx", half=True)
