import { request } from "node:http";
import { resolve } from "node:path";
import type { ConfigSources } from "../../../src/config/resolve.ts";
import type { Pulse, RunSummary, RunView } from "../../../src/studio/api-types.ts";
import { type ServedStudio, serveStudio } from "../../../src/studio/serve.ts";

/** A generator and a reward without weights, so that a search takes no time. */
export const LIGHT = {
  flags: [
    { path: "model.name", value: "toy", flag: "--model" },
    { path: "reward.name", value: resolve("test/fixtures/slowly.mjs"), flag: "--reward" },
    { path: "strategy.name", value: "best-of-n", flag: "--strategy" },
    { path: "budget", value: 2, flag: "--budget" },
  ],
} satisfies ConfigSources;

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** A studio and a client that may lie about everything. */
export class TestStudio implements AsyncDisposable {
  readonly served: ServedStudio;
  readonly origin: string;
  readonly port: string;
  readonly token: string;

  private constructor(served: ServedStudio) {
    const { origin, port, searchParams } = new URL(served.url);
    this.served = served;
    this.origin = origin;
    this.port = port;
    this.token = searchParams.get("token")!;
  }

  static async open(runs: string, base: ConfigSources = LIGHT): Promise<TestStudio> {
    return new TestStudio(await serveStudio({ runs, base, port: 0 }));
  }

  get headers(): Record<string, string> {
    return {
      cookie: `tts-var-studio-${this.port}=${this.token}`,
      origin: this.origin,
      "content-type": "application/json",
    };
  }

  /** Sends exactly this path and these headers, which `fetch` would mend. */
  send(method: string, path: string, headers: Record<string, string>, body = ""): Promise<Answer> {
    return new Promise((done, fail) => {
      const options = { host: "127.0.0.1", port: this.port, method, path, headers, agent: false };
      const sent = request(options, async (response) => {
        const parts: Buffer[] = [];
        for await (const part of response) parts.push(part as Buffer);
        done({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(parts) });
      });
      sent.on("error", fail);
      sent.end(body);
    });
  }

  async get<Value>(path: string): Promise<Value> {
    const { body } = await this.send("GET", path, this.headers);
    return JSON.parse(body.toString()) as Value;
  }

  post(path: string, body: unknown): Promise<Answer> {
    return this.send("POST", path, this.headers, JSON.stringify(body));
  }

  /** Asks for a search; returns its name. */
  async search(settings: Readonly<Record<string, unknown>>, from?: unknown): Promise<string> {
    const { status, body } = await this.post("/api/runs", { settings, ...(from ? { from } : {}) });
    if (status !== 202) throw new Error(body.toString());
    return (JSON.parse(body.toString()) as RunSummary).id;
  }

  /** The states of the event stream, until one of them is what is waited for. */
  async until(wanted: (pulse: Pulse) => boolean): Promise<Pulse[]> {
    const { headers } = this;
    const response = await fetch(`${this.origin}/api/events`, { headers });
    const pulses: Pulse[] = [];
    let text = "";
    for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
      text += part;
      const events = text.split("\n\n");
      text = events.pop()!;
      for (const event of events) {
        if (!event.startsWith("event: pulse")) continue;
        pulses.push(JSON.parse(event.slice(event.indexOf("data: ") + 6)) as Pulse);
        if (wanted(pulses.at(-1)!)) return pulses;
      }
    }
    throw new Error("the stream ended");
  }

  /** Waits until nothing waits or runs. */
  async idle(): Promise<Pulse[]> {
    return this.until(({ waiting, running }) => waiting.length === 0 && running === null);
  }

  async ended(id: string): Promise<RunView> {
    await this.idle();
    return this.get<RunView>(`/api/runs/${id}`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.served.close();
  }
}
