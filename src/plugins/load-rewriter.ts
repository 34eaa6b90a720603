import { z } from "zod";
import { withDeadline } from "../core/deadline.ts";
import { TtsVarError } from "../core/errors.ts";
import { readAtMost } from "../core/read-at-most.ts";
import { loadModule, specKind } from "./load-module.ts";

/** What a rewriter may know of a prompt. */
export interface RewriteContext {
  readonly seed: number | string;
  readonly signal: AbortSignal;
}

/** Says a prompt otherwise before it is drawn. What it costs is charged once for each search. */
export interface Rewriter {
  /** Changes whenever an equal prompt could be rewritten otherwise. */
  readonly version: string;
  /** FLOPs for a prompt. */
  readonly flops: number;
  rewrite(prompt: string, context: RewriteContext): Promise<string>;
}

/** Milliseconds for a prompt: a language model on a CPU takes its time. */
const TIMEOUT_MS = 120_000;
const MOST_BYTES = 2 ** 20;
const LONGEST = 100_000;

const answerSchema = z.object({ prompt: z.string() });
const moduleSchema = z.object({
  rewrite: z.custom<(prompt: string, context: RewriteContext) => unknown>(
    (value) => typeof value === "function",
  ),
  flops: z.number().min(0).default(0),
});

/**
 * Loads a rewriter: `./file.mjs` or `npm:package` whose default export is `(prompt, { seed, signal }) => text` or `{ rewrite, flops }`, or
 * an address that answers `POST {schemaVersion: 1, prompt, seed}` with `{prompt}`.
 *
 * @throws TtsVarError PLUGIN_INVALID
 */
export async function loadRewriter(spec: string, baseDir: string): Promise<Rewriter> {
  const what = `rewriter ${spec}`;
  const kind = specKind(spec);
  if (kind === "name") {
    throw new TtsVarError(
      "PLUGIN_INVALID",
      `${what}: give a file (./rewrite.mjs), npm:package or http://host:port`,
    );
  }
  if (kind === "http")
    return checked(what, "server", 0, (prompt, context) => post(spec, what, prompt, context));
  const { value, provenance } = await loadModule("rewriter", spec, baseDir);
  const parsed = moduleSchema.safeParse(typeof value === "function" ? { rewrite: value } : value);
  if (!parsed.success) {
    throw new TtsVarError(
      "PLUGIN_INVALID",
      `${what}: the default export must be a function of a prompt, or have one as rewrite():\n${z.prettifyError(parsed.error)}`,
    );
  }
  const { rewrite, flops } = parsed.data;
  return checked(what, provenance.identity, flops, async (prompt, context) => rewrite(prompt, context));
}

function checked(
  what: string,
  version: string,
  flops: number,
  work: (prompt: string, context: RewriteContext) => Promise<unknown>,
): Rewriter {
  return {
    version,
    flops,
    async rewrite(prompt, { seed, signal: outer }) {
      const late = () =>
        new TtsVarError("PLUGIN_INVALID", `${what} did not answer within ${TIMEOUT_MS / 1000} s`);
      const text = await withDeadline((signal) => work(prompt, { seed, signal }), {
        signal: outer,
        timeoutMs: TIMEOUT_MS,
        late,
      }).catch((error: unknown) => {
        if (error instanceof TtsVarError || outer.aborted) throw error;
        const reason = error instanceof Error ? error.message : String(error);
        throw new TtsVarError("PLUGIN_INVALID", `${what} failed on ${JSON.stringify(prompt)}: ${reason}`, {
          cause: error,
        });
      });
      if (typeof text === "string" && text.trim() !== "" && text.length <= LONGEST) return text;
      throw new TtsVarError(
        "PLUGIN_INVALID",
        `${what} made no prompt of ${JSON.stringify(prompt)}; it must give a text that is not empty`,
      );
    },
  };
}

async function post(
  url: string,
  what: string,
  prompt: string,
  { seed, signal }: RewriteContext,
): Promise<string> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ schemaVersion: 1, prompt, seed }),
    signal,
  });
  const { bytes } = await readAtMost(response.body, MOST_BYTES);
  const answer = answerSchema.safeParse(parseJson(bytes.toString("utf8")));
  if (response.ok && answer.success) return answer.data.prompt;
  throw new TtsVarError("PLUGIN_INVALID", `${what} answered ${response.status}, not {"prompt": "..."}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
