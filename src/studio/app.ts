import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { setCookie } from "hono/cookie";
import { streamSSE } from "hono/streaming";
import { z } from "zod";
import { TtsVarError } from "../core/errors.ts";
import type { Request } from "./api-types.ts";
import { configFile, zipOf } from "./download.ts";
import { cookieName, type Door, guard, isToken, pageHeaders } from "./guard.ts";
import type { Asset } from "./page.ts";
import type { Studio } from "./studio.ts";

/** A prompt may be long; a request that is longer than this is no request. */
const MAX_BODY = 512 * 1024;
/** How often the state of a search is sent, in milliseconds. */
const PULSE_MS = 250;

const candidate = z.string().regex(/^c\d+(\.\d+)*$/);
const percent = z.int().min(0).max(100);
const requestSchema = z.strictObject({
  settings: z.record(z.string(), z.union([z.string(), z.number()])),
  from: z
    .strictObject({
      run: z.string().max(255),
      candidate,
      stages: z.int().min(1),
    })
    .optional(),
  reject: z
    .array(z.strictObject({ candidate, stage: z.int().min(0) }))
    .max(1000)
    .optional(),
  redraw: z
    .strictObject({
      run: z.string().max(255),
      candidate,
      region: z.strictObject({ left: percent, top: percent, right: percent, bottom: percent }),
    })
    .refine(({ region: { left, top, right, bottom } }) => left < right && top < bottom, "must have a region")
    .optional(),
});

export interface AppParts {
  readonly studio: Studio;
  readonly page: ReadonlyMap<string, Asset>;
  /** Known once the server listens. */
  readonly door: () => Door;
  /** Aborted when the server ends. */
  readonly closing: AbortSignal;
}

/** The studio's pages and its API. */
export function createApp({ studio, page, door, closing }: AppParts): Hono {
  const app = new Hono();
  app.use(pageHeaders);
  app.use(guard(door));
  app.use(
    bodyLimit({ maxSize: MAX_BODY, onError: (context) => context.text("the request is too long", 413) }),
  );
  app.use("/api/*", async (context, next) => {
    await next();
    if (!context.res.headers.has("cache-control")) context.header("cache-control", "no-store");
  });
  app.onError((error, context) => {
    if (!(error instanceof TtsVarError))
      return context.json({ code: "INTERNAL", message: String(error) }, 500);
    return context.json({ code: error.code, message: error.message }, 400);
  });
  app.notFound((context) => context.text("there is nothing here", 404));

  app.get("/", (context) => {
    const token = context.req.query("token");
    if (token !== undefined) {
      if (!isToken(door(), token))
        return context.text("refused: this token is not the one that was printed", 401);
      setCookie(context, cookieName(door()), token, { httpOnly: true, sameSite: "Strict", path: "/" });
    }
    return sendAsset(context, page.get("index.html"));
  });
  app.get("/assets/:name", (context) => sendAsset(context, page.get(context.req.param("name"))));

  app.get("/api/form", (context) => context.json({ fields: studio.form.fields, runs: studio.folder.dir }));
  app.post("/api/plan", async (context) => context.json(await studio.plan(await bodyOf(context.req))));
  app.post("/api/runs", async (context) => context.json(await studio.add(await bodyOf(context.req)), 202));
  app.get("/api/runs", async (context) => context.json(await studio.list()));
  app.get("/api/runs/:id", async (context) => context.json(await studio.view(context.req.param("id"))));
  app.post("/api/runs/:id/cancel", (context) => {
    studio.cancel(context.req.param("id"));
    return context.body(null, 204);
  });
  app.get("/api/runs/:id/pictures/:stage/:candidate", async (context) => {
    const { id, stage, candidate } = context.req.param();
    const png = await studio.picture(id, Number(stage), candidate);
    return send(context, png, "image/png", { "cache-control": "private, max-age=3600" });
  });
  app.get("/api/runs/:id/files/:name{.+}", async (context) => {
    const { id, name } = context.req.param();
    return send(context, await studio.folder.file(id, name), typeOf(name));
  });
  app.get("/api/runs/:id/config.yaml", async (context) => {
    const id = context.req.param("id");
    const yaml = configFile(await studio.folder.record(id));
    return send(context, Buffer.from(yaml), "application/yaml", attachment(`${id}.yaml`));
  });
  app.get("/api/runs/:id/run.zip", async (context) => {
    const id = context.req.param("id");
    return send(context, await zipOf(studio.folder, id), "application/zip", attachment(`${id}.zip`));
  });

  app.get("/api/events", (context) =>
    streamSSE(context, async (stream) => {
      // Whole states, not changes: whoever connects late or again is right at once.
      let last = "";
      while (!stream.aborted && !closing.aborted) {
        const data = JSON.stringify(studio.pulse());
        await stream.writeSSE(data === last ? { event: "beat", data: "" } : { event: "pulse", data });
        last = data;
        await stream.sleep(PULSE_MS);
      }
    }),
  );
  return app;
}

/** @throws TtsVarError USAGE */
async function bodyOf(request: {
  header(name: string): string | undefined;
  text(): Promise<string>;
}): Promise<Request> {
  if (!request.header("content-type")?.startsWith("application/json")) {
    throw new TtsVarError("USAGE", "the request must be application/json");
  }
  let value: unknown;
  try {
    value = JSON.parse(await request.text());
  } catch (cause) {
    throw new TtsVarError("USAGE", "the request is no JSON", { cause });
  }
  const parsed = requestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new TtsVarError("USAGE", `the request is not understood: ${z.prettifyError(parsed.error)}`);
}

function sendAsset(context: Context, asset: Asset | undefined): Response {
  if (!asset) return context.text("there is nothing here", 404);
  return send(context, asset.body, asset.type, { "cache-control": "no-cache" });
}

function send(
  context: Context,
  body: Uint8Array,
  type: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return context.body(Uint8Array.from(body), 200, { "content-type": type, ...headers });
}

function attachment(name: string): Record<string, string> {
  return { "content-disposition": `attachment; filename="${name.replace(/[^\w.-]/g, "_")}"` };
}

/** Files of runs are shown as pictures or as text, whatever they hold: nothing of them is ever run. */
function typeOf(name: string): string {
  return name.endsWith(".png") ? "image/png" : "text/plain; charset=utf-8";
}
