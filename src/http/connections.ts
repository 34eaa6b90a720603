import type { Server } from "node:http";
import type { Socket } from "node:net";

/** Connections without a valid request so far: of one peer, and of all together. */
const mostOfPeer = 32;
const mostUnproven = 96;
/** Milliseconds that a client has to take its answer when the server stops. */
const lastMs = 5000;

interface Open {
  readonly peer: string;
  /** It sent a request that may be served. */
  proven: boolean;
  /** A request is complete and not answered yet. */
  working: boolean;
}

/**
 * The open connections of a server. Node ends those whose request does not arrive in time; this keeps them few, and ends
 * the server without waiting for anyone who has not asked.
 */
export class Connections {
  readonly #open = new Map<Socket, Open>();
  readonly #server: Server;
  #stopping = false;

  constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket: Socket) => this.#add(socket));
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** Its request may be served, once the body is there. */
  proves(socket: Socket): void {
    const open = this.#open.get(socket);
    if (open) open.proven = true;
  }

  /** Its request is complete. */
  begins(socket: Socket): void {
    const open = this.#open.get(socket);
    if (open) open.working = true;
  }

  /** Its answer is on the way. */
  answers(socket: Socket): void {
    const open = this.#open.get(socket);
    if (!open) return;
    open.working = false;
    if (this.#stopping) this.#end(socket);
  }

  /** Answers requests that are complete, ends all other connections, and frees the port. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const [socket, open] of [...this.#open]) {
      if (!open.working) this.#end(socket);
    }
    await closed;
  }

  #end(socket: Socket): void {
    if (socket.writableLength === 0) socket.destroySoon();
    // An answer that nobody reads must not keep the server.
    else setTimeout(() => socket.destroy(), lastMs).unref();
  }

  /**
   * Where too many have not sent a valid request yet, the oldest of them goes rather than the new one: they cannot keep a
   * good client out, not even one at their own address.
   */
  #add(socket: Socket): void {
    const peer = socket.remoteAddress ?? "";
    const unproven = [...this.#open].filter(([, open]) => !open.proven);
    const ofPeer = unproven.filter(([, open]) => open.peer === peer);
    const dropped =
      ofPeer.length >= mostOfPeer ? ofPeer[0] : unproven.length >= mostUnproven ? unproven[0] : undefined;
    if (dropped) {
      this.#open.delete(dropped[0]);
      dropped[0].destroy();
    }
    this.#open.set(socket, { peer, proven: false, working: false });
    socket.once("close", () => this.#open.delete(socket));
    if (this.#stopping) socket.destroy();
  }
}
