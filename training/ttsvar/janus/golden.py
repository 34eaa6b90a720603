"""What transformers' own classes say to a tiny Janus folder: logits under forced tokens, drawn tokens, a picture.

Draws are keyed as in ``src/core/rng.ts``: row ``r`` of the picture is a stream, its tokens are its positions; a token is
where the cumulative distribution passes the uniform.
"""

from __future__ import annotations

import numpy as np
import torch
from transformers import JanusForConditionalGeneration

from ttsvar.serve.keyed import KeyedRandom

PROMPT = "a photo of two red cars"
RUN_SEED = 11
WEIGHT = 5.0


def prompt_ids(words: list[str], text: str) -> list[int]:
    index = {word: at for at, word in enumerate(words)}
    parts = ["<|begin_of_sentence|>", "<|User|>", ":", *text.split(), "<|Assistant|>", ":", "<begin_of_image>"]
    return [index.get(part, index["<unk>"]) for part in parts]


class Run:
    """Both branches of one candidate, token after token, by the class itself."""

    def __init__(self, model: JanusForConditionalGeneration, ids: list[int], pad: int, released: bool = False):
        self.model, self.released = model, released
        inner = [pad] * len(ids) if released else [ids[0], *[pad] * (len(ids) - 2), ids[-1]]
        self.mask = torch.ones(2, len(ids), dtype=torch.int64)
        if released:
            self.mask[1] = 0
        self.past = None
        self.embeds = model.get_input_embeddings()(torch.tensor([ids, inner]))

    @torch.no_grad()
    def logits(self) -> torch.Tensor:
        """float64 [codes], guided."""
        kwargs = {}
        if self.released:
            positions = (self.mask.cumsum(-1) - 1).masked_fill(self.mask == 0, 1)
            kwargs = {"attention_mask": self.mask, "position_ids": positions[:, -self.embeds.shape[1] :]}
        out = self.model.model.language_model(
            inputs_embeds=self.embeds, past_key_values=self.past, use_cache=True, **kwargs
        )
        self.past = out.past_key_values
        cond, uncond = self.model.model.generation_head(out.last_hidden_state[:, -1]).double()
        return uncond + WEIGHT * (cond - uncond)

    @torch.no_grad()
    def take(self, token: int) -> None:
        self.embeds = self.model.prepare_embeddings_for_image_generation(torch.tensor([[token], [token]]))
        self.mask = torch.cat([self.mask, torch.ones(2, 1, dtype=torch.int64)], 1)


def record(model: JanusForConditionalGeneration) -> dict:
    from .tiny import PAD, SIDE, SPECIAL, WORDS

    ids = prompt_ids(SPECIAL + WORDS, PROMPT)
    random = KeyedRandom(RUN_SEED, PROMPT)
    count = SIDE * SIDE

    def draw(names: list[str], released: bool = False) -> list[int]:
        """Tokens of a candidate that has a name by row."""
        run, tokens = Run(model, ids, PAD, released), []
        for row, name in enumerate(names):
            for uniform in random.uniforms(name, row, SIDE):
                chances = torch.softmax(run.logits(), -1).cumsum(-1).numpy()
                tokens.append(int(np.searchsorted(chances, uniform * chances[-1], side="right")))
                run.take(tokens[-1])
        return tokens

    forced = [(7 * at + at * at // 3) % model.config.vq_config.num_embeddings for at in range(count)]

    def under(released: bool) -> list[list[float]]:
        run, rows = Run(model, ids, PAD, released), []
        for token in forced:
            rows.append([round(value, 5) for value in run.logits().tolist()])
            run.take(token)
        return rows

    plain = {name: draw([name] * SIDE) for name in ("c0", "c1", "c2")}
    # Copied after two rows: it goes its own way from the third.
    copy = draw(["c1"] * 2 + ["c1.1"] * (SIDE - 2))
    image = model.model.vqmodel.decode(torch.tensor([plain["c0"]]))[0].detach()
    return {
        "prompt": PROMPT,
        "seed": RUN_SEED,
        "guidance": WEIGHT,
        "ids": ids,
        "forced": forced,
        "logits": under(False),
        "logitsReleased": under(True),
        "drawn": plain | {"c1.1": copy},
        "drawnReleased": {"c0": draw(["c0"] * SIDE, True)},
        "image": [round(value, 4) for value in image.flatten().tolist()],
    }
