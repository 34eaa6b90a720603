import { readFile, statfs } from "node:fs/promises";
import { homedir, userInfo } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { z } from "zod";
import { TtsVarError } from "../../core/errors.ts";
import { makeFolder, writeJsonAtomic } from "../../io/atomic.ts";
import { whileClaimed } from "../../io/claim.ts";
import { fetchFile } from "./hub-download.ts";
import { endpoint, fetchListing, type HubListing } from "./hub-listing.ts";
import { type ModelFile, verifyFile } from "./model-files.ts";

export interface HubRequest {
  /** `owner/name`, optionally with `@revision` (branch, tag or commit; default main). */
  readonly id: string;
  /** Which of the repository's files are needed; `paths` are all that it has. */
  readonly wanted: (path: string, paths: readonly string[]) => boolean;
  readonly allowDownload: boolean;
  log(level: "info" | "warn", message: string): void;
  readonly signal?: AbortSignal;
  /** Milliseconds without a byte after which the hub counts as silent. */
  readonly patienceMs?: number;
}

const recordName = "hub.json";
const recordSchema = z.object({
  id: z.string(),
  revision: z.string(),
  license: z.string(),
  files: z.array(z.object({ path: z.string(), sha256: z.string(), bytes: z.number() })),
  /** All files that the repository has at this revision; absent in records of older versions. */
  listed: z.array(z.string()).optional(),
});
type HubRecord = z.output<typeof recordSchema>;

const REFETCH = "add --allow-download to fetch it again";

/**
 * Folder of a hub model in the local cache; downloads what is missing or damaged if that is allowed. Interrupted
 * downloads resume, every file is checked against the hub's hash when it arrives and against the cache's record when it
 * is used, and size, licence and revision are shown before the first byte. Of several processes that want the same
 * model, one fetches it and the others wait.
 *
 * Environment: HF_ENDPOINT (default https://huggingface.co), HF_TOKEN, TTS_VAR_CACHE (default ~/.cache/tts-var). Empty
 * ones count as not set.
 *
 * @throws MODEL_NOT_FOUND when the model is not cached and may not be downloaded, or the hub does not have it;
 *   MODEL_INVALID when a cached file is damaged and may not be downloaded, or arrives damaged; OUTPUT_UNWRITABLE when
 *   the cache cannot be written
 */
export async function hubFolder(request: HubRequest): Promise<string> {
  const [id, revision = "main"] = request.id.split("@") as [string, string?];
  if (revision.split("/").includes("..")) {
    throw new TtsVarError("MODEL_NOT_FOUND", `"${revision}" is no revision of ${id}`);
  }
  const folder = join(cacheRoot(), "hub", id.replace("/", "--"), revision);
  const state = await examine(folder, id, request);
  if (state === "whole") return folder;
  if (!request.allowDownload) {
    if (state !== "absent") throw state;
    throw new TtsVarError(
      "MODEL_NOT_FOUND",
      `model ${request.id} is not on this machine (${folder}); add --allow-download to fetch it from ${endpoint()}, or give a local folder`,
      { details: { id: request.id, folder } },
    );
  }
  if (state !== "absent" && state.code === "MODEL_INVALID") request.log("warn", state.message);
  try {
    makeFolder(folder);
    return await whileClaimed(
      join(folder, ".claim"),
      async () => {
        // Whoever held the claim before may have fetched it.
        if ((await examine(folder, id, request)) !== "whole") await download(id, revision, folder, request);
        return folder;
      },
      {
        command: `download of ${request.id}`,
        signal: request.signal,
        waiting: () => request.log("warn", `another process is fetching ${request.id}; waiting for it`),
      },
    );
  } catch (error) {
    throw cacheError(error, folder);
  }
}

/** All files that the repository of a cached folder has. */
export async function hubPaths(folder: string): Promise<readonly string[]> {
  const { listed, files } = recordSchema.parse(JSON.parse(await readFile(join(folder, recordName), "utf8")));
  return listed ?? files.map(({ path }) => path);
}

/** Whether the cache has the model; if it has a damaged one, the error that says what is wrong with it. */
async function examine(
  folder: string,
  id: string,
  { wanted }: Pick<HubRequest, "wanted">,
): Promise<"whole" | "absent" | TtsVarError> {
  const path = join(folder, recordName);
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return "absent";
  let record: HubRecord | undefined;
  try {
    record = recordSchema.safeParse(JSON.parse(text)).data;
  } catch (cause) {
    return new TtsVarError("MODEL_INVALID", `${path} is not valid JSON; ${REFETCH}`, { cause });
  }
  if (record?.id !== id) return "absent";
  const { files, listed = [] } = record;
  const have = new Set(files.map((file) => file.path));
  const lacking = listed.filter((each) => !have.has(each) && each !== recordName && wanted(each, listed));
  if (lacking.length > 0) {
    const named = lacking.slice(0, 3).join(", ");
    return new TtsVarError(
      "MODEL_NOT_FOUND",
      `${folder} lacks ${named}, which ${id} has on the hub; add --allow-download to fetch what is missing`,
      { details: { id, folder, lacking } },
    );
  }
  return (await findDamage(folder, record.files)) ?? "whole";
}

/** Files that an earlier request fetched: they stay, brought to the same revision. */
async function recorded(folder: string, id: string): Promise<ReadonlySet<string>> {
  try {
    const record = recordSchema.parse(JSON.parse(await readFile(join(folder, recordName), "utf8")));
    return new Set(record.id === id ? record.files.map(({ path }) => path) : []);
  } catch {
    return new Set();
  }
}

async function findDamage(folder: string, files: readonly ModelFile[]): Promise<TtsVarError | null> {
  try {
    for (const file of files) await verifyFile(join(folder, file.path), file, REFETCH);
    return null;
  } catch (error) {
    if (error instanceof TtsVarError) return error;
    throw error;
  }
}

async function download(id: string, revision: string, folder: string, request: HubRequest): Promise<void> {
  const listing = await fetchListing(id, revision, request);
  const listed = listing.files.map(({ path }) => path);
  const before = await recorded(folder, id);
  const files = listing.files.filter(
    ({ path }) => path !== recordName && (before.has(path) || request.wanted(path, listed)),
  );
  if (files.length === 0) {
    throw new TtsVarError(
      "MODEL_NOT_FOUND",
      `${id} has none of the files that are needed; it has ${listing.files.map(({ path }) => path).join(", ")}`,
    );
  }
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  await expectRoom(folder, total, id);
  request.log(
    "warn",
    `downloading ${id} (revision ${listing.sha}, licence ${listing.license}): ${files.length} files, ${megabytes(total)}`,
  );
  const fetched: ModelFile[] = [];
  for (const file of files) {
    const sha256 = await fetchFile(addressOf(id, listing, file.path), join(folder, file.path), file, request);
    request.log("info", `${file.path}: ${file.bytes} bytes, sha256 ${sha256}`);
    fetched.push({ path: file.path, sha256, bytes: file.bytes });
  }
  const record = { id, revision: listing.sha, license: listing.license, files: fetched, listed };
  await writeJsonAtomic(join(folder, recordName), record);
}

function addressOf(id: string, { sha }: HubListing, path: string): string {
  return `${endpoint()}/${id}/resolve/${sha}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

/** Said before hours of download rather than after them; what is there already may be counted twice. */
async function expectRoom(folder: string, bytes: number, id: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bytes <= bavail * bsize) return;
  throw new TtsVarError(
    "OUTPUT_UNWRITABLE",
    `${id} has ${megabytes(bytes)}, but only ${megabytes(bavail * bsize)} are free in ${folder}; free some space or set TTS_VAR_CACHE to a folder on another disk`,
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** A failed write, said of the cache; other errors pass unchanged. */
function cacheError(error: unknown, folder: string): unknown {
  const errno =
    error instanceof TtsVarError ? error.details["errno"] : (error as NodeJS.ErrnoException | null)?.code;
  if (typeof errno !== "string" || !/^E[A-Z0-9]+$/.test(errno)) return error;
  return new TtsVarError(
    "OUTPUT_UNWRITABLE",
    `the model cache ${folder} cannot be written (${errno}); set TTS_VAR_CACHE to a folder that can`,
    { details: { folder, errno }, cause: error },
  );
}

function cacheRoot(): string {
  const own = process.env["TTS_VAR_CACHE"];
  if (own) return resolve(own);
  // Relative ones are to be ignored, says the XDG specification.
  const shared = process.env["XDG_CACHE_HOME"];
  if (shared && isAbsolute(shared)) return join(shared, "tts-var");
  return join(homedir() || userInfo().homedir, ".cache", "tts-var");
}
