import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { TtsVarError } from "../../core/errors.ts";
import { type ModelFile, verifyFile } from "./model-files.ts";

export interface HubRequest {
  /** `owner/name`, optionally with `@revision` (branch, tag or commit; default main). */
  readonly id: string;
  /** Which of the repository's files are needed. */
  readonly wanted: (path: string) => boolean;
  readonly allowDownload: boolean;
  log(level: "info" | "warn", message: string): void;
  readonly signal?: AbortSignal;
}

const listingSchema = z.object({
  sha: z.string().min(1),
  cardData: z.object({ license: z.string().optional() }).loose().nullish(),
  siblings: z.array(
    z.object({
      rfilename: z.string(),
      size: z.number().optional(),
      /** Git's own hash of small files. */
      blobId: z.string().optional(),
      lfs: z
        .object({ sha256: z.string().optional(), oid: z.string().optional(), size: z.number() })
        .nullish(),
    }),
  ),
});

interface HubFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string | undefined;
  readonly blobId: string | undefined;
}

const recordName = "hub.json";
const recordSchema = z.object({
  id: z.string(),
  revision: z.string(),
  license: z.string(),
  files: z.array(z.object({ path: z.string(), sha256: z.string(), bytes: z.number() })),
});

/**
 * Folder of a hub model in the local cache; downloads what is missing or damaged if that is allowed. Interrupted
 * downloads resume, every file is checked against the hub's hash when it arrives and against the cache's record when it
 * is used, and size, licence and revision are shown before the first byte.
 *
 * Environment: HF_ENDPOINT (default https://huggingface.co), HF_TOKEN, TTS_VAR_CACHE (default ~/.cache/tts-var).
 *
 * @throws MODEL_NOT_FOUND when the model is not cached and may not be downloaded, or the hub does not have it;
 *   MODEL_INVALID when a cached file is damaged and may not be downloaded, or arrives damaged
 */
export async function hubFolder(request: HubRequest): Promise<string> {
  const [id, revision = "main"] = request.id.split("@") as [string, string?];
  if (revision.split("/").includes("..")) {
    throw new TtsVarError("MODEL_NOT_FOUND", `"${revision}" is no revision of ${id}`);
  }
  const folder = join(cacheRoot(), "hub", id.replace("/", "--"), revision);
  const record = await readRecord(folder);
  if (record && record.id === id) {
    const damage = await findDamage(folder, record.files);
    if (damage === null) return folder;
    if (!request.allowDownload) throw damage;
    request.log("warn", damage.message);
  }
  if (!request.allowDownload) {
    throw new TtsVarError(
      "MODEL_NOT_FOUND",
      `model ${request.id} is not on this machine (${folder}); add --allow-download to fetch it from ${endpoint()}, or give a local folder`,
      { details: { id: request.id, folder } },
    );
  }
  return download(id, revision, folder, request);
}

/** The error that tells what is wrong with a cached model; null if all is well. */
async function findDamage(folder: string, files: readonly ModelFile[]): Promise<TtsVarError | null> {
  try {
    for (const file of files) {
      await verifyFile(join(folder, file.path), file, "add --allow-download to fetch it again");
    }
    return null;
  } catch (error) {
    if (error instanceof TtsVarError) return error;
    throw error;
  }
}

async function download(id: string, revision: string, folder: string, request: HubRequest): Promise<string> {
  const signal = request.signal ? { signal: request.signal } : {};
  const url = `${endpoint()}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const response = await ask(url, { headers: authorization(), ...signal }, id);
  const parsed = listingSchema.safeParse(await response.json().catch(() => undefined));
  if (!parsed.success) {
    throw new TtsVarError(
      "MODEL_NOT_FOUND",
      `${url} did not answer with a model listing: ${z.prettifyError(parsed.error)}`,
    );
  }
  const listing = parsed.data;
  const files = listing.siblings
    .filter(({ rfilename }) => request.wanted(rfilename))
    .map(
      ({ rfilename, size, lfs, blobId }): HubFile => ({
        path: rfilename,
        bytes: lfs?.size ?? size ?? 0,
        sha256: lfs?.sha256 ?? lfs?.oid,
        blobId: lfs ? undefined : blobId,
      }),
    );
  if (files.length === 0) {
    throw new TtsVarError(
      "MODEL_NOT_FOUND",
      `${id} has none of the files that this reward needs; it has ${listing.siblings.map((s) => s.rfilename).join(", ")}`,
    );
  }
  const license = listing.cardData?.license ?? "not stated";
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  request.log(
    "warn",
    `downloading ${id} (revision ${listing.sha}, licence ${license}): ${files.length} files, ${(total / 1e6).toFixed(1)} MB`,
  );
  const fetched: ModelFile[] = [];
  for (const file of files) {
    if (file.path.split("/").includes(".."))
      throw new TtsVarError("MODEL_INVALID", `${id} lists ${file.path}`);
    const from = `${endpoint()}/${id}/resolve/${listing.sha}/${file.path.split("/").map(encodeURIComponent).join("/")}`;
    const sha256 = await fetchFile(from, join(folder, file.path), file, { ...signal, id });
    request.log("info", `${file.path}: ${file.bytes} bytes, sha256 ${sha256}`);
    fetched.push({ path: file.path, sha256, bytes: file.bytes });
  }
  const content = { id, revision: listing.sha, license, files: fetched };
  await writeFile(join(folder, `${recordName}.part`), `${JSON.stringify(content, null, 2)}\n`);
  await rename(join(folder, `${recordName}.part`), join(folder, recordName));
  return folder;
}

/**
 * Keeps the file if it is right; else downloads to `path.part`, continuing where an earlier attempt stopped, and renames
 * when the hash is right.
 */
async function fetchFile(
  url: string,
  path: string,
  file: HubFile,
  { id, ...signal }: { id: string; signal?: AbortSignal },
): Promise<string> {
  const done = await stat(path).catch(() => undefined);
  if (done?.size === file.bytes) {
    const kept = await verify(path, file);
    if (kept.ok) return kept.sha256;
  }
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.part`;
  const have = (await stat(part).catch(() => undefined))?.size ?? 0;
  if (have < file.bytes || have === 0) {
    const range: Record<string, string> = have > 0 ? { range: `bytes=${have}-` } : {};
    const response = await ask(url, { headers: { ...authorization(), ...range }, ...signal }, id);
    const resumed = response.status === 206;
    const handle = await open(part, resumed ? "a" : "w");
    try {
      for await (const chunk of response.body ?? []) await handle.write(chunk as Uint8Array);
    } catch (cause) {
      throw new TtsVarError(
        "MODEL_NOT_FOUND",
        `the download of ${url} broke off; run the command again to resume it`,
        { cause },
      );
    } finally {
      await handle.close();
    }
  }
  const { ok, sha256 } = await verify(part, file);
  if (!ok) {
    await rm(part, { force: true });
    throw new TtsVarError(
      "MODEL_INVALID",
      `${url} arrived damaged (sha256 ${sha256}, expected ${file.sha256 ?? file.blobId}); run the command again`,
    );
  }
  await rename(part, path);
  return sha256;
}

async function verify(path: string, file: HubFile): Promise<{ ok: boolean; sha256: string }> {
  const { size } = await stat(path);
  const sha = createHash("sha256");
  const blob = createHash("sha1").update(`blob ${size}\0`);
  await pipeline(createReadStream(path), async (source) => {
    for await (const chunk of source) {
      sha.update(chunk as Buffer);
      blob.update(chunk as Buffer);
    }
  });
  const sha256 = sha.digest("hex");
  const rightHash = file.sha256
    ? file.sha256 === sha256
    : file.blobId
      ? file.blobId === blob.digest("hex")
      : true;
  return { ok: size === file.bytes && rightHash, sha256 };
}

async function ask(url: string, init: RequestInit, id: string): Promise<Response> {
  const response = await fetch(url, init).catch((cause: unknown) => {
    throw new TtsVarError(
      "MODEL_NOT_FOUND",
      `cannot reach ${url}; check the network or HF_ENDPOINT, or give a local folder`,
      { cause },
    );
  });
  if (response.ok) return response;
  const remedy =
    response.status === 401 || response.status === 403
      ? "accept its terms on the hub and set HF_TOKEN"
      : response.status === 404
        ? "check the id and the revision"
        : "try again later";
  throw new TtsVarError(
    "MODEL_NOT_FOUND",
    `the hub answered ${response.status} for ${id} (${url}); ${remedy}`,
  );
}

async function readRecord(folder: string): Promise<z.output<typeof recordSchema> | undefined> {
  const text = await readFile(join(folder, recordName), "utf8").catch(() => undefined);
  return text === undefined ? undefined : recordSchema.safeParse(JSON.parse(text)).data;
}

function endpoint(): string {
  return (process.env["HF_ENDPOINT"] ?? "https://huggingface.co").replace(/\/+$/, "");
}

function authorization(): Record<string, string> {
  const token = process.env["HF_TOKEN"];
  return token ? { authorization: `Bearer ${token}` } : {};
}

function cacheRoot(): string {
  return (
    process.env["TTS_VAR_CACHE"] ??
    join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "tts-var")
  );
}
