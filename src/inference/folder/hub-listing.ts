import { z } from "zod";
import { withDeadline } from "../../core/deadline.ts";
import { TtsVarError } from "../../core/errors.ts";
import { readAtMost } from "../../core/read-at-most.ts";

const listingSchema = z.object({
  sha: z.string().regex(/^[\w.-]+$/),
  cardData: z.object({ license: z.string().optional() }).loose().nullish(),
  siblings: z.array(
    z.object({
      rfilename: z.string(),
      size: z.int().min(0).optional(),
      /** Git's own hash of small files. */
      blobId: z.string().optional(),
      lfs: z
        .object({ sha256: z.string().optional(), oid: z.string().optional(), size: z.int().min(0) })
        .nullish(),
    }),
  ),
});

export interface HubFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string | undefined;
  readonly blobId: string | undefined;
}

/** What a repository of the hub has at a revision. */
export interface HubListing {
  /** The commit. */
  readonly sha: string;
  readonly license: string;
  readonly files: readonly HubFile[];
}

const LISTING_MS = 60_000;
const MOST_LISTING_BYTES = 16 * 2 ** 20;

/** @throws MODEL_NOT_FOUND, MODEL_INVALID; the signal's reason when aborted */
export async function fetchListing(
  id: string,
  revision: string,
  { signal }: { readonly signal?: AbortSignal },
): Promise<HubListing> {
  const url = `${endpoint()}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const refused = (problem: string): TtsVarError =>
    new TtsVarError("MODEL_NOT_FOUND", `${url} did not answer with a model listing: ${problem}`);
  const { bytes, whole } = await withDeadline(
    async (within) => readAtMost((await ask(url, {}, id, within)).body, MOST_LISTING_BYTES),
    { signal, timeoutMs: LISTING_MS, late: () => refused(`nothing came within ${LISTING_MS / 1000} s`) },
  );
  if (!whole) throw refused(`it is longer than ${MOST_LISTING_BYTES / 2 ** 20} MiB`);
  const parsed = listingSchema.safeParse(parseJson(bytes));
  if (!parsed.success) throw refused(z.prettifyError({ issues: parsed.error.issues.slice(0, 8) }));
  const { sha, cardData, siblings } = parsed.data;
  return {
    sha,
    license: cardData?.license ?? "not stated",
    files: siblings.map(({ rfilename, size, lfs, blobId }) => {
      if (/(^|[/\\])\.\.([/\\]|$)|^[/\\]/.test(rfilename))
        throw new TtsVarError("MODEL_INVALID", `${id} lists ${rfilename}, which lies outside its folder`);
      return {
        path: rfilename,
        bytes: lfs?.size ?? size ?? 0,
        sha256: lfs?.sha256 ?? lfs?.oid,
        blobId: lfs ? undefined : blobId,
      };
    }),
  };
}

/**
 * One request to the hub. Who asks holds the deadline.
 *
 * @throws MODEL_NOT_FOUND when it cannot be reached or refuses, with the remedy
 */
export async function ask(
  url: string,
  headers: Readonly<Record<string, string>>,
  id: string,
  signal: AbortSignal,
): Promise<Response> {
  // Hashes and ranges are of the files as they are.
  const all = { "accept-encoding": "identity", ...authorization(), ...headers };
  const response = await fetch(url, { headers: all, signal }).catch((cause: unknown) => {
    throw new TtsVarError(
      "MODEL_NOT_FOUND",
      `cannot reach ${url}; check the network or HF_ENDPOINT, or give a local folder${proxyHint()}`,
      { cause },
    );
  });
  if (response.ok || response.status === 416) return response;
  const remedy =
    response.status === 401 || response.status === 403
      ? "accept its terms on the hub and set HF_TOKEN"
      : response.status === 404
        ? "check the id and the revision"
        : "try again later";
  void response.body?.cancel().catch(() => undefined);
  throw new TtsVarError(
    "MODEL_NOT_FOUND",
    `the hub answered ${response.status} for ${id} (${url}); ${remedy}`,
  );
}

export function endpoint(): string {
  return (process.env["HF_ENDPOINT"] || "https://huggingface.co").replace(/\/+$/, "");
}

function authorization(): Record<string, string> {
  const token = process.env["HF_TOKEN"]?.trim();
  return token ? { authorization: `Bearer ${token}` } : {};
}

/** Node reads these variables only when told to, and older ones not at all. */
function proxyHint(): string {
  const { env } = process;
  const proxy = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"].find((name) => env[name]);
  if (proxy === undefined || env["NODE_USE_ENV_PROXY"]) return "";
  return ` (${proxy} is honoured with NODE_USE_ENV_PROXY=1 only, by Node 22.21, 24 and newer)`;
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}
