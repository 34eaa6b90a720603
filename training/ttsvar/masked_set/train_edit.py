"""Fine-tune MAR into an editor on pairs of scenes (in the manner of UniPic).

    python -m ttsvar.masked_set.train_edit --minutes 13

A tenth of the instructions are replaced by a generic one, which guidance leads away from; the source is always seen. Tokens
that the edit changes count three times.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ttsvar.latent.codes import TokenPool
from ttsvar.latent.fit import autocast, fit, parser, prepare
from ttsvar.latent.trunk import Trunk
from ttsvar.masked_set.conditioned import Editor, begin_with
from ttsvar.masked_set.edit_pairs import Pairs
from ttsvar.masked_set.train import LEVELS, head_losses, hidden
from ttsvar.text.encoder import TextConfig
from ttsvar.varedit.words import EditTokenizer

#: UniPic's, for edits.
GENERIC = "Repeat this image."
#: A token is changed if it moved by more than this, in deviations of a channel.
MOVED = 0.5


def generic(ids: Tensor, drop: Tensor) -> Tensor:
    """Ids with the generic instruction in the rows to drop."""
    text = EditTokenizer().encode(GENERIC)
    row = torch.zeros_like(ids[0])
    row[: len(text)] = torch.tensor(text)
    return torch.where(drop[:, None], row, ids)


def losses(model: Editor, source: Tensor, target: Tensor, ids: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """By masked token: the loss, and whether the edit changes it."""
    vectors = model(target[:, None], known[:, None], model.trunk.prompt(ids), source[:, None])[:, 0]
    wanted = known < 0.5
    changed = (target - source).pow(2).mean(-1).sqrt() > MOVED
    return head_losses(model, target, vectors, wanted), changed[wanted].repeat(LEVELS)


def main() -> None:
    p = parser(__doc__, "unipic")
    p.add_argument("--pairs", default="checkpoints/edit-pairs.pt")
    p.add_argument("--from", dest="mar", default="checkpoints/mar.pt")
    a = p.parse_args()
    prepare(a)
    pairs = Pairs(a.pairs)
    channels = pairs.source.shape[2]
    model = Editor(channels, Trunk(text=TextConfig(vocab_size=len(EditTokenizer()))))
    begin_with(model, a.mar, a.start, TokenPool(a.pool))
    # A trained head stays as it is, so that both models can have the one.
    model.head.requires_grad_(not Path(a.mar).exists())

    def loss() -> Tensor:
        source, target, ids = pairs.sample(a.batch)
        ids = generic(ids, torch.rand(a.batch) < 0.1)
        value, changed = losses(model, source, target, ids, hidden(a.batch))
        weight = 1 + 2 * changed.float()
        return (value * weight).sum() / weight.sum()

    def validate() -> dict:
        state = torch.get_rng_state()
        torch.manual_seed(1)
        source, target, ids = pairs.held_out(128)
        with torch.no_grad(), autocast():
            value, changed = losses(model, source, target, ids, hidden(128))
        torch.set_rng_state(state)
        return {"changed": round(value[changed].mean().item(), 4), "kept": round(value[~changed].mean().item(), 4)}

    fit(model, loss, validate, a, {"channels": channels})


if __name__ == "__main__":
    main()
