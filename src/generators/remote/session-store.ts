import type { Session } from "../../core/generator.ts";
import type { WireErrorCode } from "./protocol.ts";

/** A refusal or failure that the client is told. */
export class RemoteFailure extends Error {
  readonly code: WireErrorCode;

  constructor(code: WireErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** What led to the current revision of a session, so that the same call can be answered again. */
interface Change {
  readonly revision: number;
  readonly call: string;
  readonly answer: Promise<object>;
}

interface Stored {
  readonly session: Promise<Session>;
  readonly expiry: NodeJS.Timeout;
  last: Change;
  /** While a change is computed. */
  busy: boolean;
}

/**
 * Sessions under handles that clients choose. Every change of a session counts up its revision, and a call names the
 * revision that it expects; the call that led to the current one may come again, byte for byte, and gets the same answer.
 * So a client whose connection broke can repeat a step without ever advancing twice.
 */
export class SessionStore {
  readonly #sessions = new Map<string, Stored>();
  readonly #most: number;
  readonly #idleMs: number;

  constructor(most: number, idleSeconds: number) {
    this.#most = most;
    this.#idleMs = idleSeconds * 1000;
  }

  /** Opens a session; if the same call did so before, answers again. */
  async open(handle: string, call: string, make: () => Promise<Session>): Promise<object> {
    const existing = this.#sessions.get(handle);
    if (existing) {
      if (existing.last.revision !== 0 || existing.last.call !== call) {
        throw new RemoteFailure("conflict", "this handle is taken; choose a random one for every session");
      }
      existing.expiry.refresh();
      return existing.last.answer;
    }
    if (this.#sessions.size >= this.#most) {
      throw new RemoteFailure(
        "busy",
        `all ${this.#most} sessions are in use; wait for another search to end, or allow more (--max-sessions)`,
      );
    }
    const session = make();
    const answer = session.then(() => ({ revision: 0 }));
    const stored: Stored = {
      session,
      expiry: setTimeout(() => this.#expire(handle), this.#idleMs).unref(),
      last: { revision: 0, call, answer },
      busy: true,
    };
    this.#sessions.set(handle, stored);
    try {
      return await answer;
    } catch (error) {
      clearTimeout(stored.expiry);
      this.#sessions.delete(handle);
      throw error;
    } finally {
      stored.busy = false;
    }
  }

  /** The session, if it is at `revision`. */
  async at(handle: string, revision: number): Promise<Session> {
    const { session, last } = this.#find(handle);
    await last.answer;
    if (last.revision !== revision) throw conflict(last, revision);
    return session;
  }

  /** Moves the session from `revision` to the next, or answers again if this very call already did. */
  async change(
    handle: string,
    revision: number,
    call: string,
    make: (session: Session) => Promise<object>,
  ): Promise<object> {
    const stored = this.#find(handle);
    const before = stored.last;
    if (before.revision === revision + 1 && before.call === call) return before.answer;
    if (before.revision !== revision) throw conflict(before, revision);
    const answer = before.answer
      .then(() => stored.session)
      .then(make)
      .then((fields) => ({ revision: revision + 1, ...fields }));
    stored.last = { revision: revision + 1, call, answer };
    stored.busy = true;
    try {
      return await answer;
    } catch (error) {
      // A failed change is none: the same call may be tried again.
      stored.last = before;
      throw error;
    } finally {
      stored.busy = false;
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
    if (stored?.busy) stored.expiry.refresh();
    else this.release(handle);
  }

  #find(handle: string): Stored {
    const stored = this.#sessions.get(handle);
    if (!stored) {
      throw new RemoteFailure(
        "unknown-session",
        `there is no session ${handle.slice(0, 8)}...: it was released, idle for more than ${this.#idleMs / 1000} s ` +
          "(--idle-seconds), or the server was started anew; run the search again",
      );
    }
    stored.expiry.refresh();
    return stored;
  }
}

function conflict(last: Change, revision: number): RemoteFailure {
  return new RemoteFailure(
    "conflict",
    `the session is at revision ${last.revision}, but the call was made for ${revision}`,
  );
}
