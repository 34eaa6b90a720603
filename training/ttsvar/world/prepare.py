"""Installs the icon sets and rasterises the atlas if it is missing: python -m ttsvar.world.prepare"""

from __future__ import annotations

import subprocess

from .paths import CACHE, ICONS


def prepare(force: bool = False) -> None:
    """npm ci (exact versions of the lock file) and rasterize.mjs; a no-op when the atlas is newer than its map."""
    atlas = CACHE / "atlas-128.json"
    sources = [ICONS / "icon-map.json", ICONS / "rasterize.mjs", ICONS / "package-lock.json"]
    if atlas.exists() and not force and atlas.stat().st_mtime >= max(p.stat().st_mtime for p in sources):
        print(f"atlas is up to date: {atlas}")
        return
    if force or not (ICONS / "node_modules" / "sharp").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=ICONS, check=True)
    subprocess.run(["node", "rasterize.mjs", str(CACHE)], cwd=ICONS, check=True)


if __name__ == "__main__":
    prepare()
