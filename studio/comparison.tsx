import type { Pulse, Request } from "../src/studio/api-types.ts";
import { Run } from "./run.tsx";

interface Props {
  readonly ids: readonly [string, string];
  readonly pulse: Pulse | null;
  onTakeUp(request: Request): void;
}

/** Two runs side by side. */
export function Comparison({ ids, pulse, onTakeUp }: Props) {
  return (
    <div class="comparison">
      {ids.map((id) => (
        <Run key={id} id={id} pulse={pulse} onTakeUp={onTakeUp} />
      ))}
    </div>
  );
}
