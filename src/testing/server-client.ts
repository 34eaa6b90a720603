import { request as httpRequest } from "node:http";
import { expect } from "vitest";
import type { GeneratorTraits } from "../core/generator.ts";
import { PREFIX } from "../generators/remote/protocol.ts";

/** A server under test, listening on loopback over plain HTTP. */
export interface SamplerServerUnderTest {
  readonly url: string;
  /** The token it demands; undefined if it demands none. */
  readonly token: string | undefined;
  close(): Promise<void>;
}

export interface Reply {
  readonly status: number;
  readonly bytes: Buffer;
  readonly json: Answer;
}

/** Whatever a server may answer; the tests look at what they expect. */
interface Answer {
  readonly error?: { readonly code: string; readonly message: string };
  readonly revision?: number;
  readonly stage?: number;
  readonly gone?: readonly string[];
  readonly traits?: GeneratorTraits;
  readonly tokens?: readonly { readonly count: number; readonly base64: string }[];
  readonly tokenHash?: readonly string[];
}

/** Requests as they come, to a server under test. */
export class ServerClient {
  readonly #server: SamplerServerUnderTest;

  constructor(server: SamplerServerUnderTest) {
    this.#server = server;
  }

  send(
    method: string,
    path: string,
    { body, headers = {} }: { body?: string; headers?: Record<string, string> } = {},
  ): Promise<Reply> {
    const { url, token } = this.#server;
    const credentials: Record<string, string> =
      token === undefined ? {} : { authorization: `Bearer ${token}` };
    const type: Record<string, string> = body === undefined ? {} : { "content-type": "application/json" };
    return new Promise((resolve, reject) => {
      const sent = httpRequest(
        new URL(`${PREFIX}${path}`, url),
        { method, agent: false, headers: { ...credentials, ...type, ...headers } },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("end", () => {
            const bytes = Buffer.concat(chunks);
            const isJson = response.headers["content-type"]?.includes("json") ?? false;
            resolve({
              status: response.statusCode ?? 0,
              bytes,
              json: isJson ? JSON.parse(bytes.toString()) : {},
            });
          });
        },
      );
      sent.on("error", reject);
      // With its length told in advance: chunked bodies are refused.
      sent.end(body);
    });
  }

  post(call: string, body: unknown): Promise<Reply> {
    return this.send("POST", call, { body: JSON.stringify(body) });
  }
}

/** Expects a refusal. @returns its message */
export async function refused(reply: Promise<Reply>, status: number, code: string): Promise<string> {
  const { status: found, json } = await reply;
  expect([found, json.error?.code]).toEqual([status, code]);
  expect(json.error!.message.length).toBeGreaterThan(10);
  return json.error!.message;
}
