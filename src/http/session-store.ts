import { HttpFailure } from "./json-server.ts";

/** What led to the current revision of a session, so that the same call can be answered again. */
interface Change {
  readonly revision: number;
  readonly call: string;
  readonly answer: Promise<object>;
}

interface Stored<Target> {
  readonly session: Promise<Target>;
  readonly expiry: NodeJS.Timeout;
  /** What is done. */
  last: Change;
  /** What is being computed; while the session is opened, that. */
  pending: Change | null;
}

interface Releasable {
  release(): void;
}

/**
 * Sessions under handles that clients choose. Every change of a session counts up its revision, and a call names the
 * revision that it expects; the call that led to the current one may come again, byte for byte, and gets the same answer.
 * So a client whose connection broke can repeat a step without ever advancing twice.
 */
export class SessionStore<Target extends Releasable = Releasable> {
  readonly #sessions = new Map<string, Stored<Target>>();
  readonly #most: number;
  readonly #idleMs: number;

  constructor(most: number, idleSeconds: number) {
    this.#most = most;
    this.#idleMs = idleSeconds * 1000;
  }

  /** Opens a session; if the same call did so before, answers again. */
  async open(handle: string, call: string, make: () => Promise<Target>): Promise<object> {
    const existing = this.#sessions.get(handle);
    if (existing) {
      if (existing.last.revision !== 0 || existing.last.call !== call) {
        throw new HttpFailure("conflict", 409, "this handle is taken; choose a random one for every session");
      }
      existing.expiry.refresh();
      return existing.last.answer;
    }
    if (this.#sessions.size >= this.#most) {
      throw new HttpFailure(
        "busy",
        503,
        `all ${this.#most} sessions are in use; wait for another search to end, or allow more (--max-sessions)`,
      );
    }
    const session = make();
    const answer = session.then(() => ({ revision: 0 }));
    const opening = { revision: 0, call, answer };
    const stored: Stored<Target> = {
      session,
      expiry: setTimeout(() => this.#expire(handle), this.#idleMs).unref(),
      last: opening,
      pending: opening,
    };
    this.#sessions.set(handle, stored);
    try {
      return await answer;
    } catch (error) {
      clearTimeout(stored.expiry);
      if (this.#sessions.get(handle) === stored) this.#sessions.delete(handle);
      throw error;
    } finally {
      stored.pending = null;
      stored.expiry.refresh();
    }
  }

  /** The session, if it is at `revision`. */
  async at(handle: string, revision: number): Promise<Target> {
    let stored = this.#find(handle);
    while (stored.pending) stored = await this.#after(stored.pending, handle);
    const { session, last } = stored;
    if (last.revision !== revision) throw conflict(last, revision);
    return session;
  }

  /** Moves the session from `revision` to the next, or answers again if this very call already did. */
  async change(
    handle: string,
    revision: number,
    call: string,
    make: (session: Target) => Promise<object>,
  ): Promise<object> {
    const same = (change: Change | null): boolean =>
      change !== null && change.revision === revision + 1 && change.call === call;
    let stored = this.#find(handle);
    while (stored.pending && !same(stored.pending)) stored = await this.#after(stored.pending, handle);
    const known = [stored.pending, stored.last].find(same);
    if (known) return known.answer;
    if (stored.last.revision !== revision) throw conflict(stored.last, revision);
    const answer = stored.session.then(make).then((fields) => ({ revision: revision + 1, ...fields }));
    const change = { revision: revision + 1, call, answer };
    stored.pending = change;
    try {
      const told = await answer;
      stored.last = change;
      return told;
    } finally {
      // A failed change is none: the same call may be tried again.
      stored.pending = null;
      stored.expiry.refresh();
    }
  }

  /** Marks sessions as in use; returns those that are gone. */
  touch(handles: readonly string[]): string[] {
    return handles.filter((handle) => {
      const stored = this.#sessions.get(handle);
      stored?.expiry.refresh();
      return !stored;
    });
  }

  release(handle: string): void {
    const stored = this.#sessions.get(handle);
    if (!stored) return;
    clearTimeout(stored.expiry);
    this.#sessions.delete(handle);
    stored.session.then((session) => session.release()).catch(() => undefined);
  }

  close(): void {
    for (const handle of [...this.#sessions.keys()]) this.release(handle);
  }

  #expire(handle: string): void {
    const stored = this.#sessions.get(handle);
    // A long computation is no idleness.
    if (stored?.pending) stored.expiry.refresh();
    else this.release(handle);
  }

  /** The session after what is under way, which decides its revision. */
  async #after({ answer }: Change, handle: string): Promise<Stored<Target>> {
    await answer.catch(() => undefined);
    return this.#find(handle);
  }

  #find(handle: string): Stored<Target> {
    const stored = this.#sessions.get(handle);
    if (!stored) {
      throw new HttpFailure(
        "unknown-session",
        404,
        `there is no session ${handle.slice(0, 8)}...: it was released, idle for more than ${this.#idleMs / 1000} s ` +
          "(--idle-seconds), or the server was started anew; run the search again",
      );
    }
    stored.expiry.refresh();
    return stored;
  }
}

function conflict(last: Change, revision: number): HttpFailure {
  return new HttpFailure(
    "conflict",
    409,
    `the session is at revision ${last.revision}, but the call was made for ${revision}`,
  );
}
