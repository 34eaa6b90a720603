import { TtsVarError } from "../../core/errors.ts";
import type { Generator } from "../../core/generator.ts";

/** A server's generator, and what the user calls it. */
export interface NamedServer<Definition> {
  readonly name: string;
  readonly generator: Definition;
}

/** New sessions for which a server that failed is passed over. */
const REST = 8;

export interface Server extends NamedServer<Generator> {
  sessions: number;
  rest: number;
}

export function asServer(named: NamedServer<Generator>): Server {
  return { ...named, sessions: 0, rest: 0 };
}

export interface Placed<Thing> {
  readonly server: Server;
  readonly thing: Thing;
}

/** Something that lies on one of several servers, and is made again on another one when its server fails. */
export class Place<Thing> {
  readonly #servers: readonly Server[];
  readonly #make: (server: Server) => Promise<Thing>;
  /** Servers that failed since the last success. */
  readonly #left = new Set<Server>();
  #current: Promise<Placed<Thing>>;
  #released = false;

  /** @param there where it lies already */
  constructor(servers: readonly Server[], make: (server: Server) => Promise<Thing>, there?: Placed<Thing>) {
    this.#servers = servers;
    this.#make = make;
    if (there) there.server.sessions++;
    this.#current = there ? Promise.resolve(there) : this.#find();
    this.#current.catch(() => undefined);
  }

  /** Works with it; where its server fails, again on another one. */
  async use<Result>(work: (thing: Thing, server: Server) => Promise<Result>): Promise<Result> {
    for (;;) {
      if (this.#released) throw new TtsVarError("INTERNAL", "this session was released");
      const at = this.#current;
      const { server, thing } = await at;
      try {
        const result = await work(thing, server);
        this.#left.clear();
        return result;
      } catch (error) {
        if (!isServersFault(error)) throw error;
        // Of several calls that fail together, the first one moves it.
        if (this.#current !== at) continue;
        this.#fail(server);
        this.#current = this.#find(error);
        this.#current.catch(() => undefined);
      }
    }
  }

  /** It is no longer needed. */
  async leave(free: (thing: Thing) => void): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    const placed = await this.#current.catch(() => null);
    if (!placed) return;
    placed.server.sessions--;
    free(placed.thing);
  }

  /** Something else that lies where this lies now. */
  derive<Other>(make: (server: Server) => Promise<Other>, there: Placed<Other>): Place<Other> {
    return new Place(this.#servers, make, there);
  }

  #fail(server: Server): void {
    server.sessions--;
    server.rest = REST;
    this.#left.add(server);
  }

  async #find(reason?: unknown): Promise<Placed<Thing>> {
    let last = reason;
    for (;;) {
      const server = this.#choose();
      if (!server) throw last;
      server.sessions++;
      try {
        return { server, thing: await this.#make(server) };
      } catch (error) {
        if (!isServersFault(error)) {
          server.sessions--;
          throw error;
        }
        last = error;
        this.#fail(server);
      }
    }
  }

  #choose(): Server | undefined {
    const free = this.#servers.filter((server) => !this.#left.has(server));
    const ready = free.filter(({ rest }) => rest === 0);
    for (const server of this.#servers) server.rest = Math.max(0, server.rest - 1);
    const [first, ...others] = ready.length > 0 ? ready : free;
    return others.reduce((best, server) => (server.sessions < best!.sessions ? server : best), first);
  }
}

/** What a server did wrong, and another one may do right. */
function isServersFault(error: unknown): boolean {
  return error instanceof TtsVarError && (error.code === "MODEL_RUNTIME" || error.code === "MODEL_INVALID");
}
