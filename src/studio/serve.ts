import { randomBytes } from "node:crypto";
import type { AddressInfo, Server } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { TtsVarError } from "../core/errors.ts";
import { createApp } from "./app.ts";
import { loadPage } from "./page.ts";
import { Studio, type StudioSettings } from "./studio.ts";

export interface ServedStudio {
  /** With the token: who opens it may use the studio. */
  readonly url: string;
  /** Stops the running search, whose folder ends as aborted, and the server. */
  close(): Promise<void>;
}

/**
 * Serves a studio on this machine's own address, which no other machine can reach.
 *
 * @param port 0 takes any free one
 * @throws TtsVarError USAGE when the port is taken, CONFIG_INVALID, OUTPUT_UNWRITABLE
 */
export async function serveStudio(
  settings: StudioSettings & { readonly port: number },
): Promise<ServedStudio> {
  const page = await loadPage();
  const studio = await Studio.open(settings);
  const token = randomBytes(24).toString("base64url");
  const closing = new AbortController();
  let port = settings.port;
  const app = createApp({ studio, page, door: () => ({ port, token }), closing: closing.signal });
  const server = createAdaptorServer({ fetch: app.fetch });
  port = await listen(server as Server, settings.port);
  return {
    url: `http://127.0.0.1:${port}/?token=${token}`,
    async close() {
      closing.abort();
      server.close();
      await studio.close();
      if ("closeAllConnections" in server) server.closeAllConnections();
    },
  };
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((done, fail) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const hint =
        cause.code === "EADDRINUSE" ? "is another studio running? --port 0 takes any free port" : "";
      fail(new TtsVarError("USAGE", `cannot listen on port ${port} (${cause.code}); ${hint}`, { cause }));
    });
    server.listen(port, "127.0.0.1", () => done((server.address() as AddressInfo).port));
  });
}
