/** A rectangle in whole pixels; the right and lower edges are outside. */
export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

// PaddleOCR's DBPostProcess (db_thresh, db_box_thresh, db_unclip_ratio).
const pixelThreshold = 0.3;
const lineThreshold = 0.6;
const unclipRatio = 1.5;
const shortestSide = 3;

/**
 * Lines of text in a map of text probabilities: connected regions above the threshold, as upright boxes, grown by
 * area x 1.5 / perimeter, because the network is trained on shrunken regions. In reading order: rows from the top, each
 * from the left. PaddleOCR turns boxes with the text; here slanted lines get an upright box.
 *
 * @param map `height x width` probabilities, row-major
 */
export function linesOf(map: Float32Array, width: number, height: number): Rectangle[] {
  const seen = new Uint8Array(width * height);
  const stack: number[] = [];
  const found: Rectangle[] = [];
  for (let start = 0; start < map.length; start++) {
    if (seen[start] || !(map[start]! > pixelThreshold)) continue;
    let [left, top, right, bottom] = [width, height, 0, 0];
    let [sum, count] = [0, 0];
    seen[start] = 1;
    stack.push(start);
    while (stack.length > 0) {
      const at = stack.pop()!;
      const [x, y] = [at % width, Math.floor(at / width)];
      [left, top] = [Math.min(left, x), Math.min(top, y)];
      [right, bottom] = [Math.max(right, x + 1), Math.max(bottom, y + 1)];
      sum += map[at]!;
      count++;
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          const [nx, ny] = [x + dx, y + dy];
          if (nx < 0 || ny < 0 || nx >= width || ny >= height) continue;
          const next = ny * width + nx;
          if (seen[next] || !(map[next]! > pixelThreshold)) continue;
          seen[next] = 1;
          stack.push(next);
        }
      }
    }
    const [w, h] = [right - left, bottom - top];
    if (Math.min(w, h) < shortestSide || sum / count < lineThreshold) continue;
    const grow = Math.round((w * h * unclipRatio) / (2 * (w + h)));
    found.push({
      left: Math.max(left - grow, 0),
      top: Math.max(top - grow, 0),
      right: Math.min(right + grow, width),
      bottom: Math.min(bottom + grow, height),
    });
  }
  return inReadingOrder(found);
}

/** A box belongs to the row of the box before it if it begins above that one's middle. */
function inReadingOrder(boxes: readonly Rectangle[]): Rectangle[] {
  const rows: Rectangle[][] = [];
  for (const box of [...boxes].sort((a, b) => a.top - b.top || a.left - b.left)) {
    const row = rows.at(-1);
    if (row && box.top < (row[0]!.top + row[0]!.bottom) / 2) row.push(box);
    else rows.push([box]);
  }
  return rows.flatMap((row) => row.sort((a, b) => a.left - b.left));
}
