"""Store the transformers of minis in ``zoo/`` as integers; computing stays float32.

    python -m ttsvar.zoo_store ../zoo/hmar
    python -m ttsvar.zoo_store ../zoo/nar --bits 4 --share ../zoo/vq-ddm

Eight bits with a scale by row or column, or four in blocks of 32 with a scale each, instead of float16. Graphs that lead to pictures
(``widen``, ``narrow``, the autoencoder) stay as they are. With ``--share``, graphs that are another mini's to the byte are named there
instead of kept twice.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ttsvar.common.shared_weights import share_weights
from ttsvar.infinity.export import digest
from ttsvar.infinity.graphs import store_integers
from ttsvar.latent.export import share

#: Graphs that lead to pictures.
PICTURES = ("widen", "narrow", "vae_decode", "vae_encode", "vae_draft")
#: Small graphs beside the transformer, with a record of their own in the manifest: always eight bits.
BESIDE = ("head", "verify")


def shrink(folder: Path, bits: int) -> None:
    """Store the graphs of ``folder`` as integers and write their hashes to its manifest; what is stored so already stays."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    own = {name: entry for name, entry in manifest["graphs"].items() if "of" not in entry and name not in PICTURES}
    beside = [manifest[name] for name in BESIDE if name in manifest and "of" not in manifest[name]]
    for entry in own.values():
        store_integers(folder / entry["file"], bits=bits)
    for entry in beside:
        store_integers(folder / entry["file"])
    for file in manifest.get("externalData", {}).get("files", {}):
        (folder / file).unlink()
        share_weights([folder / entry["file"] for name, entry in own.items() if name in ("step", "mask")], file)
        manifest["externalData"]["files"][file] = digest(folder / file)
    for entry in [*own.values(), *beside]:
        entry |= digest(folder / entry["file"])
    path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--share", type=Path, help="folder of a mini that may hold some of the same graphs")
    parser.add_argument("--bits", type=int, choices=(8, 4), default=8)
    a = parser.parse_args()
    for folder in a.folders:
        shrink(folder, a.bits)
        if a.share:
            share(folder, a.share)
        print(folder.name, sum(file.stat().st_size for file in folder.iterdir()), "bytes")


if __name__ == "__main__":
    main()
