// Rasterises every drawing of icon-map.json into one 128-px RGBA atlas.
//   node rasterize.mjs [output folder]
// Each drawing is trimmed to its alpha box and fitted, aspect kept, into the square.
// atlas-128.raw: n x 128 x 128 x 4 bytes, straight alpha; atlas-128.json: {size, items}.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.resolve(process.argv[2] ?? path.join(here, '..', 'cache'));
const SIZE = 128;
const SUPERSAMPLED = 2 * SIZE;
const clear = { r: 0, g: 0, b: 0, alpha: 0 };

const sets = {};
const load = (name) =>
  (sets[name] ??= JSON.parse(
    fs.readFileSync(path.join(here, 'node_modules', '@iconify-json', name, 'icons.json'), 'utf8'),
  ));

/** Follows aliases; an alias may override size or flip of its parent. */
function resolve(set, name) {
  if (set.icons[name]) return { ...set.icons[name] };
  const alias = set.aliases?.[name];
  if (!alias) throw new Error(`no icon ${set.prefix}:${name}`);
  const parent = resolve(set, alias.parent);
  const { parent: _, ...overrides } = alias;
  return { ...parent, ...overrides, body: parent.body };
}

function toSvg(item) {
  const set = item.svg ? {} : load(item.set);
  const icon = item.svg ? { body: item.svg, width: 64, height: 64 } : resolve(set, item.icon);
  const w = icon.width ?? set.width ?? 16;
  const h = icon.height ?? set.height ?? 16;
  const x = icon.left ?? set.left ?? 0;
  const y = icon.top ?? set.top ?? 0;
  let body = icon.body.replace(/currentColor/g, item.mono ? '#808080' : '#404040');
  if (icon.hFlip) body = `<g transform="translate(${2 * x + w} 0) scale(-1 1)">${body}</g>`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ` +
    `viewBox="${x} ${y} ${w} ${h}" width="${SUPERSAMPLED}" height="${SUPERSAMPLED}">${body}</svg>`
  );
}

function alphaBox(data, width, height) {
  let x0 = width, x1 = -1, y0 = height, y1 = -1;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (data[(y * width + x) * 4 + 3] > 24) {
        x0 = Math.min(x0, x); x1 = Math.max(x1, x);
        y0 = Math.min(y0, y); y1 = Math.max(y1, y);
      }
  return { left: x0, top: y0, width: x1 - x0 + 1, height: y1 - y0 + 1 };
}

async function rasterize(item) {
  const { data, info } = await sharp(Buffer.from(toSvg(item)), { density: 72 })
    .ensureAlpha()
    .resize(SUPERSAMPLED, SUPERSAMPLED, { fit: 'contain', background: clear })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const box = alphaBox(data, info.width, info.height);
  if (box.width <= 0) throw new Error(`empty drawing ${item.set}:${item.icon}`);
  return sharp(data, { raw: { width: info.width, height: info.height, channels: 4 } })
    .extract(box)
    .resize(SIZE, SIZE, { fit: 'contain', background: clear })
    .raw()
    .toBuffer();
}

const map = JSON.parse(fs.readFileSync(path.join(here, 'icon-map.json'), 'utf8'));
const items = [];
const pixels = [];
for (const [cls, list] of Object.entries(map))
  for (const item of list) {
    pixels.push(await rasterize(item));
    items.push({ class: cls, set: item.set, icon: item.icon, license: item.license, mono: item.mono });
  }
fs.mkdirSync(out, { recursive: true });
fs.writeFileSync(path.join(out, 'atlas-128.raw'), Buffer.concat(pixels));
fs.writeFileSync(path.join(out, 'atlas-128.json'), JSON.stringify({ size: SIZE, items }));
console.log(`${items.length} drawings -> ${path.join(out, 'atlas-128.raw')}`);
