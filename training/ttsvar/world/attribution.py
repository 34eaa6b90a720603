"""Writes models/ATTRIBUTION.md from the installed icon packages: python -m ttsvar.world.attribution"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from .atlas import Atlas, load_atlas
from .paths import ICONS, MODELS
from .vocabulary import CLASSES

TARGET = MODELS / "ATTRIBUTION.md"
ROLES = ("generator", "verifier", "held out", "copy")
DRAWN = "drawn"  # small SVGs made for this project, inline in icon-map.json, CC0-1.0

_HEAD = """# Attribution

The models in this folder were trained on synthetic scenes composed of the icons below. The icons were rasterised,
scaled, recoloured and placed on backgrounds. No icon file is distributed with the models; the generator's pictures
resemble the drawings it was trained on, so the notices of their licences are kept here.

No share-alike and no non-commercial drawing is used. This file is written by
`python -m ttsvar.world.attribution` from the packages' own metadata and `training/icons/icon-map.json`.

Roles: *generator*: the one drawing per class that the image generator, its tokenizer and the image-text model learn;
*verifier*: further drawings that the detectors (and only models that say so in their card) are trained on as well;
*held out*: used by no training, only to measure generalisation; *copy*: the same picture as a held-out one, used by
nothing (models before version 1.1.0 were trained on it, see their cards).
"""


def _roles(atlas: Atlas) -> dict[int, str]:
    roles = {}
    for cls in range(len(CLASSES)):
        for d in atlas.by_class[cls]:
            roles[d.index] = "copy"
        for i, d in enumerate(atlas.trainable(cls)):
            roles[d.index] = "generator" if i == 0 else "verifier"
        for d in atlas.heldout(cls):
            roles[d.index] = "held out"
    return roles


def attribution() -> str:
    """The whole file as text."""
    atlas = load_atlas()
    roles = _roles(atlas)
    counts = Counter((d.set, roles[d.index]) for d in atlas.drawings)
    lines = [_HEAD, "## Icon sets", ""]
    lines += ["| set | package | licence | author | " + " | ".join(ROLES) + " |", "|---|---|---|---|---|---|---|---|"]
    for name in sorted({d.set for d in atlas.drawings}):
        numbers = " | ".join(str(counts[name, role]) for role in ROLES)
        if name == DRAWN:
            lines.append(f"| drawn for this project | inline in icon-map.json | CC0-1.0 | the project | {numbers} |")
            continue
        folder = ICONS / "node_modules" / "@iconify-json" / name
        info = json.loads((folder / "info.json").read_text())
        version = json.loads((folder / "package.json").read_text())["version"]
        licence, author = info["license"], info["author"]
        licence_text = f"[{licence.get('spdx') or licence['title']}]({licence['url']})"
        author_text = f"[{author['name']}]({author['url']})" if author.get("url") else author["name"]
        lines.append(
            f"| {info['name']} | @iconify-json/{name} {version} | {licence_text} | {author_text} | {numbers} |"
        )
    lines += ["", "Game Icons are by various artists (Lorc, Delapouite and contributors, https://game-icons.net)."]
    lines += ["", "## Drawings", "", "| class | " + " | ".join(ROLES) + " |", "|---|---|---|---|---|"]
    for cls, name in enumerate(CLASSES):
        cells = []
        for role in ROLES:
            chosen = [d for d in atlas.by_class[cls] if roles[d.index] == role]
            cells.append(", ".join(f"{d.set}:{d.icon}" for d in chosen))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(target: Path = TARGET) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(attribution())
    print(target)


if __name__ == "__main__":
    main()
