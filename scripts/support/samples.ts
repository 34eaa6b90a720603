/** Repeated measurements of one thing. */
export interface Samples {
  readonly median: number;
  readonly min: number;
  readonly all: readonly number[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Rounded to `digits` decimals. */
export function summarise(values: readonly number[], digits = 1): Samples {
  const round = (value: number): number => Number(value.toFixed(digits));
  return { median: round(median(values)), min: round(Math.min(...values)), all: values.map(round) };
}

/** Values by name, in the order in which the names first came. */
export class Collected {
  readonly #values = new Map<string, number[]>();

  add(name: string, value: number): void {
    const own = this.#values.get(name);
    if (own) own.push(value);
    else this.#values.set(name, [value]);
  }

  of(name: string): readonly number[] {
    return this.#values.get(name) ?? [];
  }

  /** The median of the rounds' ratios: both of a round met the same machine. */
  ratio(name: string, against: string): number {
    const below = this.of(against);
    return Number(median(this.of(name).map((value, round) => value / below[round]!)).toFixed(3));
  }

  summaries(): Record<string, Samples> {
    return Object.fromEntries([...this.#values].map(([name, values]) => [name, summarise(values)]));
  }
}

/** Names of a round: every other round the other way about, so that nobody always comes first. */
export function order<T>(things: readonly T[], round: number): readonly T[] {
  return round % 2 === 0 ? things : [...things].reverse();
}

/** Rounds from -1, which warms up, until there are enough or somebody interrupts: what is measured by then still counts. */
export function* roundsOf(count: number): Generator<number> {
  let interrupted = false;
  const stop = (): void => {
    interrupted = true;
    console.error("the round is finished first");
  };
  process.once("SIGINT", stop);
  for (let round = -1; round < count; round++) {
    if (interrupted && round > 0) break;
    yield round;
    console.error(`round ${round + 1} of ${count}`);
  }
  process.off("SIGINT", stop);
}
