"""The PyTorch reference with weights loaded block by block, so that any model runs in the memory of one block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ttsvar.infinity.model import Condition, Infinity
from ttsvar.infinity.schedule import Schedule
from ttsvar.text.encoder import TextEncoder

Read = Callable[[str], Tensor]


@contextmanager
def loaded(module: nn.Module, prefix: str, read: Read, skip: str = "\0") -> Iterator[None]:
    """Give a module on ``meta`` its values for a while; ``skip`` is the prefix of parts that are left out."""
    places = [(name, kind) for kind in ("_parameters", "_buffers") for name, _ in getattr(module, f"named{kind}")()]
    for name, kind in places:
        if name.startswith(skip):
            continue
        owner_path, _, leaf = name.rpartition(".")
        value = read(prefix + name)
        store = getattr(module.get_submodule(owner_path), kind)
        store[leaf] = nn.Parameter(value, requires_grad=False) if kind == "_parameters" else value
    try:
        yield
    finally:
        module.to("meta")


@torch.no_grad()
def text_states(encoder: TextEncoder, read: Read, ids: Tensor) -> Tensor:
    """Token ids ``[1, T]`` -> states ``[1, T, Ct]``; ``encoder`` is on ``meta``."""
    with loaded(encoder.shared, "shared.", read):
        x = encoder.shared(ids)
    bias = None
    for i, block in enumerate(encoder.encoder.block):
        with loaded(block, f"encoder.block.{i}.", read):
            if bias is None:
                bias = encoder.position_bias(ids.shape[1], ids.device)
            x = block(x, bias)
    with loaded(encoder.encoder.final_layer_norm, "encoder.final_layer_norm.", read):
        return encoder.encoder.final_layer_norm(x)


@dataclass
class Reference:
    """Conditioning (its ``memory`` of all layers) and per scale the bit-logit differences ``[G, B, L, dv]``."""

    condition: Condition
    deltas: list[Tensor]


@torch.no_grad()
def forced_run(
    model: Infinity, read: Read, text: Tensor, text_bias: Tensor, inputs: list[Tensor], schedule: Schedule
) -> Reference:
    """Run the given inputs through all blocks, scale by scale with caches; ``model`` is on ``meta``."""
    per_chunk = model.config.depth // model.config.block_chunks
    ropes = [schedule.rope(scale, model.config.head_dim) for scale in range(len(inputs))]
    groups = text.shape[0]
    with loaded(model, "", read, skip="block_chunks."):
        sos, gss, head_ss, memory_input = model.front(text, text_bias)
        condition = Condition(sos, gss, head_ss, [], text_bias)
        first = model.first_input(condition)
        starts = [first, *(model.level_input(scale, groups) for scale in range(1, len(inputs)))]
        states = [model.word_embed(z) + start[:, None] for z, start in zip(inputs, starts)]
    for i, block in enumerate(model.blocks):
        with loaded(block, f"block_chunks.{i // per_chunk}.module.{i % per_chunk}.", read):
            memory = block.ca.memory(memory_input)
            condition.memory.append(memory)
            past = None
            for scale, (cos, sin) in enumerate(ropes):
                states[scale], new = block(states[scale], gss, memory, text_bias, cos, sin, None, past)
                past = tuple(torch.cat(pair, 2) for pair in zip(past, new)) if past else new
    with loaded(model, "", read, skip="block_chunks."):
        return Reference(condition, [model.output(x, head_ss) for x in states])
