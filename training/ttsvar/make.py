"""Make one of the embedded models from nothing: one command, fixed seeds, fixed numbers of steps.

    python -m ttsvar.make generator                 # the recipe of the shipped model, on CPU
    python -m ttsvar.make detector-b --config gpu   # larger, for an accelerator
    python -m ttsvar.make generator --dry-run       # print the commands only
    python -m ttsvar.make generator --from 4        # go on after an interruption
    python -m ttsvar.make generator --publish       # only what follows training: export, golden vectors, figures, card

Every recipe is a list of this package's own commands, run in order from the folder ``training``. Results go to
``models/`` (export, manifest, card), loss curves to ``training/curves/``.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys

from ttsvar.world.paths import TRAINING_ROOT

_WORLD = "ttsvar.world.prepare"


def _generator(config: str) -> list[str]:
    device = "cuda" if config == "gpu" else "cpu"
    vae = f"ttsvar.infinity.train_vae --config {config} --device {device}"
    train = f"ttsvar.infinity.train --config {config} --device {device} --compile"
    if config == "gpu":
        return [
            f"{vae} --steps 8000 --batch 256",
            f"{train} --steps 6000 --mix even",
            f"{train} --init checkpoints/generator.pt --steps 3000 --mix late --seed 100",
            f"{vae} --decoder-only --large-decoder --flip 0.05 --reduced 0.2 --steps 4000 --batch 256 --lr 1e-3"
            " --nested 0.2 --seed 20 --init checkpoints/vae.pt",
        ]
    return [
        f"{vae} --steps 1325 --batch 48",
        f"{vae} --steps 560 --batch 48 --lr 1.3e-3 --nested 0.3 --seed 10 --init checkpoints/vae.pt",
        f"{train} --steps 2149 --stop 760 --mix even",
        f"{train} --steps 2149 --resume --mix late --pool-start 12288",
        f"{vae} --decoder-only --large-decoder --flip 0.05 --reduced 0.2 --steps 776 --batch 48 --lr 1e-3"
        " --nested 0.2 --seed 20 --init checkpoints/vae.pt",
        *_DRAFT,
    ]


# Two cycles, since the first one still improved when it ended.
_DRAFT = [
    "ttsvar.infinity.train_draft --steps 2351 --batch 32",
    "ttsvar.infinity.train_draft --steps 1468 --batch 32 --lr 1.5e-3 --seed 31 --init checkpoints/draft.pt",
]


def _wide_generator() -> list[str]:
    """The 128-px generator of a wider world for two cores: a day's work, of which `--minutes` and `--resume` make pieces."""
    vae, out = "checkpoints/vae-128.pt", "checkpoints/generator-128.pt"
    files = f"--vae {vae} --out {out} --curve curves/generator-128.jsonl"
    return [
        f"ttsvar.infinity.train_vae --config wide --steps 6000 --batch 24 --nested 0.35 --nested-from 2 --out {vae}"
        " --curve curves/vae-128.jsonl",
        f"ttsvar.infinity.train --config wide --compile --mix wide --first-flip 0.5 0.35 --cut 7 --cut-share 0.8"
        f" --pool 100000 --steps 16000 {files}",
        f"ttsvar.infinity.train_draft --world wide --vae {vae} --out checkpoints/draft-128.pt",
    ]


def _publish_generator() -> list[str]:
    return [
        "ttsvar.infinity.export --out ../models/generator",
        "ttsvar.infinity.add_draft --model ../models/generator",
        "ttsvar.infinity.int8 --model ../models/generator --out ../models/embedded-int8",
        "ttsvar.infinity.golden --out ../test/fixtures/golden",
        "ttsvar.infinity.evaluate_vae --picture ../models/generator/reconstructions.png",
        "ttsvar.infinity.evaluate --ceiling --judge ../models/detector-b --per-tag 80"
        " --out ../models/generator/ceiling.json",
        "ttsvar.infinity.evaluate --judge ../models/detector-b --per-tag 25 --candidates 32"
        " --out ../models/generator/evaluation.json",
        "ttsvar.infinity.sample --out ../models/generator/samples.png",
        "ttsvar.infinity.card",
    ]


def _dual_encoder(config: str) -> list[str]:
    tokenizer, out = "--tokenizer ../models/generator/tokenizer.json", "checkpoints/dual-encoder"
    train = f"ttsvar.verifiers.dual_encoder.train {tokenizer} --config {config}"
    return [
        f"{train} --atom-weight 0 --slots-only --out {out}-1",
        f"{train} --init {out}-1/checkpoint.pt --steps 700 --learning-rate 0.0015 --atom-weight 1 --pairs 32"
        f" --degraded 8 --seed 20240612 --out {out}-2",
        f"{train} --init {out}-2/checkpoint.pt --steps 600 --learning-rate 0.001 --atom-weight 0.3 --degraded 8"
        f" --seed 20240613 --out {out}",
        f"ttsvar.verifiers.dual_encoder.export --checkpoint {out}/checkpoint.pt --tokenizer ../models/generator"
        " --out ../models/dual-encoder",
        f"ttsvar.verifiers.dual_encoder.card --model ../models/dual-encoder --checkpoint {out}/checkpoint.pt",
    ]


def _detector(name: str, config: str) -> list[str]:
    return [
        f"ttsvar.verifiers.detector.train --name {name} --config {config}",
        f"ttsvar.verifiers.detector.manifest --name {name}",
        f"ttsvar.verifiers.detector.card --name {name}",
    ]


def _small(name: str) -> list[str]:
    """Models for ``zoo/``, from the embedded generator's weights (``ttsvar.infinity.restore`` makes checkpoints of them)."""
    fine_tuned = "--init checkpoints/generator.pt --lr 1e-3 --muon-lr 0.004 --warmup 30 --ema 0.9 --compile --minutes 17"
    return [
        "ttsvar.infinity.restore",
        *{
            "small": [
                "ttsvar.infinity.distil --build 6144",
                "ttsvar.infinity.distil --config small --late 2 --minutes 18 --out checkpoints/small.pt",
                "ttsvar.infinity.distil --config small --init checkpoints/small.pt --late 2 --batch 32 --compile --minutes 20"
                " --seed 31 --out checkpoints/small-2.pt",
                "ttsvar.infinity.export --checkpoint checkpoints/small-2.pt --name small --autoencoder ../models/generator"
                " --out ../zoo/small",
            ],
            "hmar": [
                "ttsvar.infinity.distil --build 6144",
                "ttsvar.infinity.distil --markov --init checkpoints/generator.pt --batch 24 --lr 1e-3 --muon-lr 3e-3"
                " --minutes 13 --seed 40 --out checkpoints/markov.pt",
                "ttsvar.hmar.train --init checkpoints/markov.pt --minutes 6 --batch 32 --pool-start 1024",
                "ttsvar.hmar.export --out ../zoo/hmar",
            ],
            "var": [
                "ttsvar.var.train_tokenizer --minutes 6 --vocabulary 512",
                "ttsvar.var.train --minutes 24 --threads 1 --compile --seed 3",
                "ttsvar.var.embedded --out ../zoo/var",
            ],
            "flexvar": [
                f"ttsvar.flexvar.train {fine_tuned} --batch 24 --pool-start 1024 --seed 2",
                "ttsvar.flexvar.export --out ../zoo/flexvar",
            ],
            # The shipped weights saw fewer replacements in the first cycle: SHARES in `varedit/pairs.py` were set before the second.
            "varedit": [
                f"ttsvar.varedit.train {fine_tuned} --batch 16 --pool-start 512 --flip 0.1 --seed 1",
                "ttsvar.varedit.train --init checkpoints/varedit.pt --lr 8e-4 --muon-lr 0.003 --warmup 30 --ema 0.9 --compile"
                " --minutes 16 --batch 16 --pool-start 512 --flip 0.1 --seed 3 --out checkpoints/varedit-2.pt",
                "ttsvar.varedit.export --checkpoint checkpoints/varedit-2.pt --out ../zoo/varedit",
            ],
        }[name],
        *([f"ttsvar.zoo_store ../zoo/{name}"] if name in ("hmar", "flexvar", "varedit") else []),
        f"ttsvar.zoo_card ../zoo/{name}",
    ]


#: A canvas family's package, its training with what it goes on from, and settings to export it with.
_CANVAS = {
    "vq-ddm": ("discrete_diffusion", "--minutes 55", "--guidance 3.5 --temperature 0.4"),
    "nar": ("ordered", "--start checkpoints/vq-ddm.pt --minutes 40", ""),
    "raster": ("ordered", "--grouping raster --start checkpoints/nar.pt --bits 4 --minutes 10", "--guidance 1 --temperature 1"),
    "nar-video": ("ordered", "--clips --start checkpoints/nar.pt --batch 24 --bits 4 --minutes 10", ""),
    "mar": ("masked_set", "--start checkpoints/vq-ddm.pt --minutes 35", ""),
    "tokenbridge": ("masked_set", "--levels 16 --on checkpoints/mar.pt --bits 4 --minutes 4", "--temperature 0.3"),
    "xar": ("block_flow", "--start checkpoints/mar.pt --bits 4 --minutes 14", ""),
    "acdit": ("block_flow", "--context clean --init checkpoints/xar.pt --batch 48 --bits 4 --minutes 9", ""),
}
#: An accelerator sees more images in the same minutes; one whole core is enough for the zoo's.
_WHERE = {"cpu": "--threads 1 --compile", "gpu": "--device cuda --compile"}
#: Stored in eight bits, for which nothing has to be learnt.
_EIGHT_BITS = ("vq-ddm",)
#: A short cycle with weights as they will be stored, for models that learnt without.
_STORED = "--bits 4 --minutes 4 --lr 3e-4 --muon-lr 1e-3"


def _canvas_trainings(name: str, config: str) -> list[str]:
    """The trainings of a family and of those whose weights it goes on from, from the first on."""
    package, training, _ = _CANVAS[name]
    out = f"checkpoints/{name}.pt"
    before = next((other for other in _CANVAS if f"checkpoints/{other}.pt" in training), None)
    train = f"ttsvar.{package}.train {_WHERE[config]} --out {out}"
    return [
        *(_canvas_trainings(before, config) if before else []),
        *(["ttsvar.frames.pool moving"] if "--clips" in training else []),
        f"{train} {training}",
        *([] if "--bits 4" in training or name in _EIGHT_BITS else [f"{train} --init {out} {_STORED}"]),
    ]


def _canvas(name: str, config: str = "cpu") -> list[str]:
    """Narrow latents over the shipped generator, and a family that starts from its weights or from another's."""
    package, training, sampling = _CANVAS[name]
    checkpoint, out = f"checkpoints/{name}.pt", f"../zoo/{name}"
    trainings = _canvas_trainings(name, config)
    # Who has the same nets between tokens and latents: FAR's are those of vectors, VQ-DDM's those of codes.
    other = "vq-ddm" if package == "ordered" else "" if name == "vq-ddm" else "mar" if name == "tokenbridge" else "far"
    return [
        "ttsvar.infinity.restore",
        "ttsvar.latent.pool --scenes 131072",
        "ttsvar.latent.train narrow --steps 1200",
        "ttsvar.latent.train codebook --steps 600 --entries 512",
        *trainings,
        " ".join(f"ttsvar.{package}.evaluate --checkpoint {checkpoint} {sampling} --judge ../models/detector-a".split()),
        " ".join(f"ttsvar.{package}.export --checkpoint {checkpoint} {sampling} --out {out}".split()),
        f"ttsvar.zoo_store {out} --bits {8 if name in _EIGHT_BITS else 4}" + (f" --share ../zoo/{other}" if other else ""),
        f"ttsvar.zoo_card {out}",
    ]


def _after_mar(name: str, config: str) -> list[str]:
    """What is trained on top of the MAR mini: its verifier, its editor, its cascade."""
    judge = f"--judge ../models/detector-b --per-tag 25 --candidates 8 --out ../zoo/{name}/evaluation.json"
    # Harmon's generator is MAR's to the bit, so it is stored like that one; the others learn with all of their bits.
    stored = f"ttsvar.zoo_store ../zoo/{name} --bits {4 if name == 'harmon' else 8} --share ../zoo/mar"
    own = {
        "harmon": [
            "ttsvar.masked_set.train_verify --minutes 10",
            "ttsvar.masked_set.export_verify --out ../zoo/harmon",
            stored,
            f"ttsvar.masked_set.evaluate --kind harmon {judge}",
        ],
        "unipic": [
            "ttsvar.masked_set.edit_pairs --pairs 8192",
            "ttsvar.masked_set.train_edit --minutes 50",
            "ttsvar.masked_set.export_conditioned unipic --out ../zoo/unipic",
            stored,
        ],
        "cascade": [
            "ttsvar.masked_set.train_cascade --minutes 50",
            "ttsvar.masked_set.export_conditioned cascade --out ../zoo/cascade",
            stored,
            f"ttsvar.masked_set.evaluate --kind cascade --checkpoint checkpoints/cascade.pt {judge}",
        ],
    }[name]
    return [*_canvas("mar", config), *own, f"ttsvar.zoo_card ../zoo/{name}"]



def _frames(name: str, config: str) -> list[str]:
    """Clips over narrow latents; the trunk starts from nothing, the text encoder from the shipped generator."""
    out = f"../zoo/{name}"
    world = "moving" if name == "far" else "driving"
    return [
        "ttsvar.infinity.restore",
        "ttsvar.latent.pool --scenes 16384",
        "ttsvar.latent.train narrow --steps 1200",
        f"ttsvar.frames.pool {world}",
        f"ttsvar.frames.train {name} --minutes 20" + (" --device cuda" if config == "gpu" else ""),
        f"ttsvar.frames.export --checkpoint checkpoints/{name}.pt --out {out}",
        f"ttsvar.zoo_store {out}",
        f"ttsvar.frames.evaluate --checkpoint checkpoints/{name}.pt --out {out}/evaluation.json",
        f"ttsvar.zoo_card {out}",
    ]


def recipe(model: str, config: str, publish: bool = False) -> list[str]:
    """Modules with their arguments, in order; ``publish``: only those after the generator's training."""
    if publish:
        return _publish_generator()
    steps = {
        "generator-128": _wide_generator,
        "generator": lambda: _generator(config) + _publish_generator(),
        "dual-encoder": lambda: _dual_encoder(config),
        "detector-a": lambda: _detector("a", config),
        "detector-b": lambda: _detector("b", config),
        **{name: lambda name=name: _small(name) for name in NEXT_SCALE},
        **{family: lambda family=family: _canvas(family, config) for family in CANVAS},
        **{name: lambda name=name: _frames(name, config) for name in CLIPS},
        **{name: lambda name=name: _after_mar(name, config) for name in AFTER_MAR},
    }[model]()
    return [_WORLD, *steps]


CANVAS = tuple(_CANVAS)
CLIPS = ("far", "epona")
NEXT_SCALE = ("small", "hmar", "var", "flexvar", "varedit")
AFTER_MAR = ("harmon", "unipic", "cascade")
MODELS = (
    "generator", "generator-128", "dual-encoder", "detector-a", "detector-b", *NEXT_SCALE, *CANVAS, *CLIPS, *AFTER_MAR,
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--config", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--from", dest="first", type=int, default=1, metavar="N", help="start with step N")
    parser.add_argument("--publish", action="store_true", help="of the generator: only the steps after training")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and stop")
    arguments = parser.parse_args()
    if arguments.publish and arguments.model != "generator":
        parser.error("--publish belongs to the generator; the others are exported by their last steps")
    commands = recipe(arguments.model, arguments.config, arguments.publish)
    for number, command in enumerate(commands, 1):
        skipped = number < arguments.first
        print(f"[{number}/{len(commands)}] python -m {command}{'  (skipped)' if skipped else ''}", flush=True)
        if arguments.dry_run or skipped:
            continue
        status = subprocess.run([sys.executable, "-m", *shlex.split(command)], cwd=TRAINING_ROOT).returncode
        if status:
            sys.exit(f"step {number} failed (exit {status}); mend it and go on with --from {number}")


if __name__ == "__main__":
    main()
