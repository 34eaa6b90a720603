import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { TtsVarError } from "../core/errors.ts";
import { Connections } from "./connections.ts";

/** A refusal or failure that the client is told. */
export class HttpFailure<Code extends string = string> extends Error {
  readonly code: Code;
  readonly status: number;

  constructor(code: Code, status: number, message: string) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** Where a server listens, and for whom. */
export interface ListenOptions {
  /** Address to listen on; anything but loopback needs a token. */
  readonly host?: string;
  /** 0: any free port. */
  readonly port?: number;
  /** What clients must send as `Authorization: Bearer TOKEN`. */
  readonly token?: string | undefined;
}

/** What is served. */
export interface JsonService {
  /** Environment variable of the token, for messages. */
  readonly tokenVariable: string;
  /** Bytes that a request may have. */
  readonly requestBytes: number;
  /** Answers a request that was admitted; `body` is null without one (GET, DELETE). JSON, or bytes. */
  answer(method: string, path: string, body: () => Promise<Buffer>): Promise<object | Buffer>;
  /** What the client is told of an error. */
  asFailure(error: unknown): HttpFailure;
  /** After the last request. */
  close(): void;
}

/** Something that can be reached over HTTP. */
export interface Served extends AsyncDisposable {
  readonly url: string;
}

/** Milliseconds for a request's head and for all of it, looked at every second. */
const deadlines = { headersTimeout: 10_000, requestTimeout: 60_000, connectionsCheckingInterval: 1000 };

const LOOPBACK = ["127.0.0.1", "::1", "localhost"];
const LOOPBACK_NAMES = ["127.0.0.1", "[::1]", "localhost"];
const SHORTEST_TOKEN = 16;

/**
 * Serves JSON to programs on this or other machines. Disposing finishes requests under way, and closes everything else.
 *
 * @throws TtsVarError CONFIG_INVALID for an open address without a token, or a weak token; USAGE if the port is taken
 */
export async function serveJson(service: JsonService, options: ListenOptions = {}): Promise<Served> {
  const { host = "127.0.0.1", port = 0, token } = options;
  checkToken(host, token, service.tokenVariable);
  const server = createServer(deadlines, (request, response) => {
    answer(request)
      .catch((error: unknown) => service.asFailure(error))
      .then((result) => send(response, result, connections.stopping))
      .finally(() => connections.answers(request.socket));
  });
  const connections = new Connections(server);

  async function answer(request: IncomingMessage): Promise<object | Buffer> {
    admit(request, token);
    connections.proves(request.socket);
    const { method = "", url = "" } = request;
    return service.answer(method, url, async () => {
      const body = await readBody(request, service.requestBytes);
      connections.begins(request.socket);
      return body;
    });
  }

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  }).catch((error: NodeJS.ErrnoException) => {
    throw new TtsVarError("USAGE", `cannot listen on ${host}:${port} (${error.code}); choose another port`);
  });
  const bound = server.address() as AddressInfo;
  const name = bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
  return {
    url: `http://${name}:${bound.port}`,
    async [Symbol.asyncDispose]() {
      await connections.stop();
      service.close();
    },
  };
}

function checkToken(host: string, token: string | undefined, variable: string): void {
  const fail = (message: string): never => {
    throw new TtsVarError("CONFIG_INVALID", message);
  };
  if (token === undefined) {
    if (LOOPBACK.includes(host)) return;
    fail(`${host} can be reached from other machines, so a token is needed: set ${variable} here and there`);
  } else if (token.length < SHORTEST_TOKEN || !/^[!-~]+$/.test(token)) {
    fail(`the token must have at least ${SHORTEST_TOKEN} printable characters without spaces`);
  }
}

/** Before anything of the body is read. */
function admit({ headers }: IncomingMessage, token: string | undefined): void {
  if (token === undefined) {
    // A page in a browser on this machine must not get through by a name that points here.
    const name = (headers.host ?? "").replace(/:\d+$/, "");
    if (LOOPBACK_NAMES.includes(name)) return;
    throw new HttpFailure("wrong-host", 403, `without a token, only ${LOOPBACK_NAMES.join(", ")} are served`);
  }
  // Compared as hashes in constant time: how long it takes says nothing about the token.
  if (timingSafeEqual(sha256(headers.authorization ?? ""), sha256(`Bearer ${token}`))) return;
  throw new HttpFailure(
    "unauthorized",
    401,
    "the token is missing or wrong; send Authorization: Bearer TOKEN",
  );
}

async function readBody(request: IncomingMessage, most: number): Promise<Buffer> {
  const invalid = (message: string) => new HttpFailure("invalid-request", 400, message);
  // A browser asks before it sends this type across origins, and is not answered.
  if (!/^application\/json\b/i.test(request.headers["content-type"] ?? "")) {
    throw invalid("send JSON, as Content-Type: application/json");
  }
  const length = Number(request.headers["content-length"]);
  if (!Number.isInteger(length)) throw invalid("send a Content-Length; chunks are not taken");
  if (length > most) {
    throw new HttpFailure(
      "too-large",
      413,
      `the request has ${length} bytes, but this server takes ${most} (--max-request-bytes)`,
    );
  }
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, result: object | Buffer, last: boolean): void {
  const failure = result instanceof HttpFailure ? result : null;
  const content = failure ? { error: { code: failure.code, message: failure.message, details: {} } } : result;
  const body = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
  response.writeHead(failure ? failure.status : 200, {
    "content-type": Buffer.isBuffer(content) ? "application/octet-stream" : "application/json",
    "content-length": body.length,
    "cache-control": "no-store",
    // What is left of a refused body would be taken for the next request.
    ...(response.req.complete && !last ? {} : { connection: "close" }),
  });
  response.end(body);
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
