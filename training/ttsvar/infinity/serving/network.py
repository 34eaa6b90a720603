"""The generator's networks on a device: conditioning, one scale for a batch of candidates, decoding."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ttsvar.infinity.bits import from_tokens, reduce_area, resize, to_tokens
from ttsvar.infinity.generator import CLOSED
from ttsvar.infinity.model import Condition
from ttsvar.infinity.vae import to_float, to_uint8
from ttsvar.infinity.serving.loading import Loaded, Placement
from ttsvar.infinity.serving.past import Pair, Past, Piece, Slot
from ttsvar.infinity.serving.shape import Shape

REMEMBERED_PROMPTS = 8

@dataclass
class Prompt:
    """What is computed once per prompt: the conditioning, and the first scale, before which nothing is drawn (by shape
    and number of guidance groups)."""

    condition: Condition
    first: dict[tuple[str, int], tuple[np.ndarray, Slot]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One scale, for any number of candidates and so many guidance groups."""

    shape: Shape
    scale: int
    groups: int


@dataclass(frozen=True)
class Entry:
    """A candidate before a scale: its prompt, cumulative code, and where its keys and values are."""

    prompt: Prompt
    code: Tensor | None
    past: Sequence[Slot]


def fused_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """softmax(q k^T * scale + mask) v by PyTorch's own kernels, which do not store the scores."""
    return functional.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, mask, scale=scale)


class Network:
    def __init__(self, loaded: Loaded, placement: Placement):
        self._model, self._vae, self._text_encoder = loaded.model, loaded.vae, loaded.text
        self._tokenize, self._place = loaded.tokenize, placement
        for module in (self._model, self._vae, self._text_encoder):
            module.eval().requires_grad_(False)
        for block in self._model.blocks:
            block.sa.attend = fused_attention
        self._rope: dict[tuple[str, int], Pair] = {}
        self._prompts: OrderedDict[tuple[str, str | None], Prompt] = OrderedDict()

    @torch.inference_mode()
    def prompt(self, prompt: str, negative: str | None) -> Prompt:
        """Conditioning of a prompt; remembered for the last few."""
        key = (prompt, negative)
        if key not in self._prompts:
            self._prompts[key] = Prompt(self._condition(prompt, negative))
        self._prompts.move_to_end(key)
        if len(self._prompts) > REMEMBERED_PROMPTS:
            self._prompts.popitem(last=False)
        return self._prompts[key]

    @property
    def rows_per_pass(self) -> int:
        return self._place.rows

    @property
    def on_cpu(self) -> bool:
        return self._place.device.type == "cpu"

    @torch.inference_mode()
    def run(self, stage: Stage, entries: Sequence[Entry]) -> tuple[np.ndarray, list[Slot | None]]:
        """Runs a scale: bit-logit differences ``[G, N, L * dv]`` (float32), and where each candidate's K/V are.

        Candidates of several prompts share passes. After the last scale nobody reads keys and values: the slots are None.
        """
        if stage.scale == 0:
            first = [self._first(stage, entry.prompt) for entry in entries]
            return np.concatenate([delta for delta, _ in first], 1), [slot for _, slot in first]
        deltas, slots = [], []
        for start in range(0, len(entries), self._place.rows):
            delta, new = self._pass(stage, entries[start : start + self._place.rows])
            deltas.append(delta)
            slots += new
        return np.concatenate(deltas, 1), slots

    @torch.inference_mode()
    def add(self, shape: Shape, code: Tensor | None, bits: np.ndarray, scale: int) -> Tensor:
        """Cumulative code ``[d, H, W]`` after a scale, from the one before (None at the first) and the drawn bits."""
        schedule = shape.schedule
        tokens = torch.from_numpy(bits).view(1, -1, shape.token_channels)
        # On the host, like every other way of making codes: equal bits give equal codes on every device.
        added = shape.quantizer.contribution(from_tokens(tokens, schedule.scales[scale], schedule.patchify), scale)[0]
        added = added.to(self._place.device)
        return added if code is None else code + added

    @torch.inference_mode()
    def decode(self, code: Tensor, size: tuple[int, int]) -> np.ndarray:
        """Image ``[h, w, 3]`` (uint8) of a code, reduced to the latent ``size`` first. One at a time, so that rounding
        does not depend on company."""
        reduced = reduce_area(code[None], size)
        with self._precision():
            image = self._vae.decode(reduced)
        return to_uint8(image.float())[0].cpu().numpy()

    @torch.inference_mode()
    def encode(self, shape: Shape, image: np.ndarray) -> list[np.ndarray]:
        """Bits (uint8) of every scale for an image ``[h, w, 3]`` (uint8) of the shape's size."""
        with self._precision():
            latent = self._vae.encode(to_float(image[None]).to(self._place.device))
        encoded = shape.quantizer.encode(latent.float().cpu())
        return [
            to_tokens(bits.float(), shape.schedule.patchify).flatten().to(torch.uint8).numpy() for bits in encoded.bits
        ]

    def _condition(self, prompt: str, negative: str | None) -> Condition:
        # The text encoder is always computed in float32: it runs once, and half precision would overflow in it.
        states = self._text(prompt)
        other = self._model.unconditional(states.shape[1]) if negative is None else self._text(negative)
        with self._precision():
            return self._model.condition(*_join([states, other]))

    def _text(self, text: str) -> Tensor:
        ids = torch.tensor([self._tokenize(text)], device=self._place.device)
        return self._text_encoder(ids).float()

    def _first(self, stage: Stage, prompt: Prompt) -> tuple[np.ndarray, Slot | None]:
        """The first scale, which is the same for all candidates of a prompt."""
        key = (stage.shape.id, stage.groups)
        if key not in prompt.first:
            delta, slots = self._pass(stage, [Entry(prompt, None, ())])
            prompt.first[key] = (delta, slots[0])
        return prompt.first[key]

    def _pass(self, stage: Stage, entries: Sequence[Entry]) -> tuple[np.ndarray, list[Slot | None]]:
        model, count = self._model, len(entries)
        shape, scale, groups = stage.shape, stage.scale, stage.groups
        mixed = any(entry.prompt is not entries[0].prompt for entry in entries)
        if mixed:
            condition = _side_by_side([entry.prompt.condition for entry in entries], groups)
        else:
            condition = _leading(entries[0].prompt.condition, groups)
        if scale == 0:
            z = torch.zeros(count, 1, shape.token_channels, device=self._place.device)
            x_add = model.first_input(condition)
        else:
            grid = shape.quantizer.grids[scale]
            z = to_tokens(resize(torch.stack([entry.code for entry in entries]), grid), shape.schedule.patchify)
            x_add = model.level_input(scale, groups)
        last = scale == shape.scales - 1
        cached, layers, rope = Past([entry.past for entry in entries], groups), [], self._rotations(shape, scale)
        with self._precision():
            x = model.word_embed(z) + x_add[:, None]
            if mixed:
                # Each row has a condition of its own: a group of one candidate.
                x = x.flatten(0, 1)[:, None]
            for index, block in enumerate(model.blocks):
                before = cached[index] if cached else None
                memory = condition.memory[index]
                x, pair = block(x, condition.gss, memory, condition.text_bias, *rope, None, before)
                if not last:
                    layers.append(tuple(self._kept(part, groups) for part in pair))
            delta = model.output(x, condition.head_ss)
        piece = Piece(tuple(layers))
        slots = [None if last else Slot(piece, row) for row in range(count)]
        return delta.float().reshape(groups, count, -1).cpu().numpy(), slots

    def _rotations(self, shape: Shape, scale: int) -> Pair:
        key = (shape.id, scale)
        if key not in self._rope:
            cos, sin = shape.schedule.rope(scale, self._model.config.head_dim)
            self._rope[key] = (cos.to(self._place.device), sin.to(self._place.device))
        return self._rope[key]

    def _kept(self, part: Tensor, groups: int) -> Tensor:
        return part.to(self._place.dtype).unflatten(0, (groups, -1))

    def _precision(self) -> AbstractContextManager:
        if self._place.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self._place.device.type, self._place.dtype)


def _join(texts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Text states ``[1, T, C]`` of the groups -> ``[G, T, C]``, padded, and the bias that closes the padding."""
    length = max(text.shape[1] for text in texts)
    states = torch.cat([functional.pad(text, (0, 0, 0, length - text.shape[1])) for text in texts])
    bias = torch.zeros(len(texts), 1, 1, length, device=states.device)
    for group, text in enumerate(texts):
        bias[group, ..., text.shape[1] :] = CLOSED
    return states, bias


def _leading(condition: Condition, groups: int) -> Condition:
    memory = [(keys[:groups], values[:groups]) for keys, values in condition.memory]
    bias = None if condition.text_bias is None else condition.text_bias[:groups]
    return Condition(condition.sos[:groups], condition.gss[:groups], condition.head_ss[:groups], memory, bias)


def _side_by_side(conditions: Sequence[Condition], groups: int) -> Condition:
    """Conditions of candidates with prompts of their own, group by group: ``[groups * N, ...]``, texts padded."""
    leading = [_leading(condition, groups) for condition in conditions]
    longest = max(condition.memory[0][1].shape[2] for condition in leading)

    def rows(parts: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(parts), 1).flatten(0, 1)

    def padded(condition: Condition, layer: int) -> Pair:
        keys, values = condition.memory[layer]
        missing = longest - values.shape[2]
        return functional.pad(keys, (0, missing)), functional.pad(values, (0, 0, 0, missing))

    memory = []
    for layer in range(len(leading[0].memory)):
        pairs = [padded(condition, layer) for condition in leading]
        memory.append((rows([keys for keys, _ in pairs]), rows([values for _, values in pairs])))
    biases = []
    for condition in leading:
        length, device = condition.memory[0][1].shape[2], condition.sos.device
        bias = condition.text_bias
        if bias is None:
            bias = torch.zeros(groups, 1, 1, length, device=device)
        biases.append(functional.pad(bias, (0, longest - length), value=CLOSED))
    return Condition(
        rows([condition.sos for condition in leading]),
        rows([condition.gss for condition in leading]),
        rows([condition.head_ss for condition in leading]),
        memory,
        rows(biases),
    )
