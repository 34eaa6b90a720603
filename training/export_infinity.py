"""Exports an Infinity checkpoint to a model folder that tts-var samples from.

    training/.venv/bin/python training/export_infinity.py --checkpoint infinity_2b_reg.pth --vae infinity_vae_d32reg.pth \\
        --text flan-t5-xl/ --dtype int8 --out infinity-2b
    tts-var search --model ./infinity-2b --prompt "a photo of a red cup"

What goes in (nothing is downloaded):
  --checkpoint  the transformer: infinity_2b_reg.pth, the folder infinity_8b_weights/, or a training checkpoint
  --vae         its VAE: infinity_vae_d32reg.pth for 2B, infinity_vae_d56_f8_14_patchify.pth for 8B
  --text        the folder google/flan-t5-xl with config.json, the weights and tokenizer.json

What comes out: five ONNX graphs, the tokenizer, a few small weights, and manifest.json with all aspect ratios and
sizes, hashes, and the result of a check of every graph against PyTorch. The folder appears only when it is complete.

How weights are stored (see --estimate for sizes, docs/infinity.md for what fits where):
  fp32  as in the checkpoint               fp16  half the disk, the memory of fp32
  int8  a third of fp32's disk and memory  int4  a fifth, with coarser weights (results/quantisation)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ttsvar.infinity.official.errors import ExportError
from ttsvar.infinity.official.estimate import estimate
from ttsvar.infinity.official.export import Request, export
from ttsvar.infinity.official.keys import NESTING, VAE_NESTING, detect_variant
from ttsvar.infinity.official.parts import Parts, assemble
from ttsvar.infinity.official.placement import DTYPES, Storage
from ttsvar.infinity.official.resolutions import SIZES
from ttsvar.infinity.official.tensors import open_checkpoint
from ttsvar.infinity.official.text_folder import T5_XL, read_config
from ttsvar.infinity.official.variants import VARIANTS, Variant


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="transformer: .pth file or folder of a sharded checkpoint")
    parser.add_argument("--vae", type=Path, help="VAE: .pth file")
    parser.add_argument("--text", type=Path, help="folder of the T5 text encoder in Hugging Face's layout")
    parser.add_argument("--out", type=Path, required=True, help="model folder to make; must not exist")
    parser.add_argument("--variant", choices=tuple(VARIANTS), help="default: recognised from the checkpoint")
    parser.add_argument("--dtype", choices=tuple(DTYPES), default="int8", help="storage of the weights (default int8)")
    parser.add_argument(
        "--activations", choices=("float32", "int8"), default="int8",
        help="with int8 and int4 weights: what the transformer's products are computed in (default int8, faster)",
    )  # fmt: skip
    parser.add_argument(
        "--default-schedule", default="1:1@0.06M", metavar="ID",
        help="width:height@size used unless another is asked for, e.g. 3:2@1M (default 1:1@0.06M)",
    )  # fmt: skip
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=list(SIZES), help="sizes to include")
    parser.add_argument(
        "--verify-scales", type=int, default=4, metavar="N", help="scales that the final check runs (default 4)"
    )
    parser.add_argument(
        "--random", type=int, metavar="SEED",
        help="random weights for every part that is not given, for tests of size and speed: the images mean nothing",
    )  # fmt: skip
    parser.add_argument("--estimate", action="store_true", help="print the needed disk and memory, write nothing")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    return parser.parse_args()


def chosen_parts(args: argparse.Namespace) -> Parts:
    """Open and check everything that was given."""
    given = {"--checkpoint": args.checkpoint, "--vae": args.vae, "--text": args.text}
    missing = [name for name, path in given.items() if path is None]
    if missing and args.random is None:
        raise ExportError(
            f"{' and '.join(missing)} is missing: transformer, VAE and text encoder are all needed "
            "(--help says which files; --random SEED makes random weights for tests)"
        )
    transformer = open_checkpoint(args.checkpoint, NESTING) if args.checkpoint else None
    if args.variant:
        variant: Variant = VARIANTS[args.variant]
    elif transformer:
        variant = detect_variant(transformer)
    else:
        raise ExportError(f"--random needs --variant, one of {', '.join(VARIANTS)}")
    vae = open_checkpoint(args.vae, VAE_NESTING) if args.vae else None
    width = variant.transformer.text_channels
    text_config = read_config(args.text, width) if args.text else T5_XL
    text = open_checkpoint(args.text) if args.text else None
    return assemble(variant, text_config, transformer, vae, text, args.random or 0)


def main() -> int:
    args = arguments()
    try:
        storage = Storage(DTYPES[args.dtype], 8 if args.activations == "int8" else 32)
        parts = chosen_parts(args)
        if args.estimate:
            print("\n".join(estimate(parts, storage).lines()))
            return 0
        sizes, scales = tuple(args.sizes), max(args.verify_scales, 1)
        request = Request(args.out, storage, args.text, args.default_schedule, sizes, scales, args.quiet)
        manifest = export(parts, request)
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    step = manifest["verification"]["graphs"]["step"]
    checked = f"checked (step: rms {step['rms']} of {step['referenceRms']})"
    print(f"{args.out}: {parts.variant.name} in {args.dtype}, {checked}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
