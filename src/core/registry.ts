import { TtsVarError } from "./errors.ts";

/** What `tts-var list` shows of a plug-in without importing its code. */
export interface Listing {
  readonly name: string;
  /** One line: what it does. */
  readonly summary: string;
  /** Paper, section or repository it follows. */
  readonly source?: string;
}

type Entry<T, Row extends Listing> = Row & { load(): Promise<T> };

/** Named, lazily imported plug-ins of one kind. Unknown names answer with the nearest known ones. */
export class Registry<T, Row extends Listing = Listing> {
  readonly kind: string;
  readonly #entries = new Map<string, Entry<T, Row>>();

  constructor(kind: string) {
    this.kind = kind;
  }

  add(entry: Entry<T, Row>): this {
    if (this.#entries.has(entry.name)) throw new Error(`${this.kind} ${entry.name} is registered twice`);
    this.#entries.set(entry.name, entry);
    return this;
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  list(): Omit<Row, "load">[] {
    return [...this.#entries.values()].map(({ load: _load, ...listing }) => listing);
  }

  async load(name: string): Promise<T> {
    const entry = this.#entries.get(name);
    if (!entry) throw unknownName(this.kind, name, [...this.#entries.keys()]);
    return entry.load();
  }
}

/** The error for a name that does not exist, with a suggestion when one is close. */
export function unknownName(kind: string, name: string, known: readonly string[]): TtsVarError {
  const close = nearest(name, known);
  const hint = close ? `; did you mean "${close}"?` : "";
  return new TtsVarError("PLUGIN_UNKNOWN", `unknown ${kind} "${name}"${hint} Known: ${known.join(", ")}.`, {
    details: { kind, name, known, suggestion: close ?? null },
  });
}

/** The known name with the smallest edit distance, if it is at most a third of the name's length (at least 2). */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(previous[j]! + 1, current[j - 1]! + 1, substitution));
    }
    previous = current;
  }
  return previous[b.length]!;
}
