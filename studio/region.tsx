import { useState } from "preact/hooks";
import type { Region } from "../src/studio/api-types.ts";

const SIDES = ["left", "top", "right", "bottom"] as const;
const MIDDLE: Region = { left: 25, top: 25, right: 75, bottom: 75 };

/** Chooses a region of a picture, in percent: by dragging over it, or by the sliders. */
export function RegionPicker({ picture, onChoose }: { picture: string; onChoose(region: Region): void }) {
  const [region, setRegion] = useState(MIDDLE);
  const [start, setStart] = useState<{ x: number; y: number } | null>(null);
  const pointOf = (event: PointerEvent): { x: number; y: number } => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const share = (at: number, size: number): number =>
      Math.round(Math.min(100, Math.max(0, (100 * at) / size)));
    return { x: share(event.clientX - box.left, box.width), y: share(event.clientY - box.top, box.height) };
  };
  const drag = (event: PointerEvent): void => {
    if (!start) return;
    const { x, y } = pointOf(event);
    setRegion({
      left: Math.min(x, start.x),
      top: Math.min(y, start.y),
      right: Math.max(x, start.x),
      bottom: Math.max(y, start.y),
    });
  };
  const empty = region.right <= region.left || region.bottom <= region.top;
  const { left, top, right, bottom } = region;
  return (
    <details class="region">
      <summary>Redraw a region</summary>
      <div
        class="pick"
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setStart(pointOf(event));
        }}
        onPointerMove={drag}
        onPointerUp={() => setStart(null)}
      >
        <img src={picture} alt="" draggable={false} />
        <div
          class="box"
          style={{ left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` }}
        />
      </div>
      <div class="fields">
        {SIDES.map((side) => (
          <label key={side}>
            {side} {region[side]} %
            <input
              type="range"
              min={0}
              max={100}
              value={region[side]}
              onInput={({ currentTarget: { value } }) => setRegion({ ...region, [side]: Number(value) })}
            />
          </label>
        ))}
      </div>
      <button type="button" class="main" disabled={empty} onClick={() => onChoose(region)}>
        Redraw this region
      </button>
    </details>
  );
}
