import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TtsVarError } from "../../src/core/errors.ts";
import { pixelHash } from "../../src/core/image.ts";
import { probeWritable, writeFileAtomic } from "../../src/io/atomic.ts";
import { whileClaimed } from "../../src/io/claim.ts";
import { appendJsonl, JsonlWriter, readJsonl } from "../../src/io/jsonl.ts";
import { decodePng, encodePng } from "../../src/io/png.ts";
import { RunFolder, readRunRecord, readTrace } from "../../src/run/run-folder.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-io-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function codeOf(work: Promise<unknown>): Promise<[string, string]> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TtsVarError)) throw new Error(`expected a coded error, got ${error}`);
  return [error.code, error.message];
}

describe("writeFileAtomic", () => {
  it("makes parent folders, replaces whole files and leaves no temporary", async () => {
    const path = join(dir, "a", "b", "file.txt");
    await writeFileAtomic(path, "one");
    await writeFileAtomic(path, new Uint8Array([50]));
    expect(await readFile(path, "utf8")).toBe("2");
    expect(await readdir(join(dir, "a", "b"))).toEqual(["file.txt"]);
  });

  it("names path and remedy when a file stands where a folder is needed", async () => {
    await writeFile(join(dir, "plain"), "");
    const [code, message] = await codeOf(writeFileAtomic(join(dir, "plain", "x.txt"), "data"));
    expect(code).toBe("OUTPUT_UNWRITABLE");
    expect(message).toContain(join(dir, "plain", "x.txt"));
    expect(message).toMatch(/--out/);
  });

  it("leaves the old file and nothing else behind when the rename is refused", async () => {
    const folder = join(dir, "refused");
    await mkdir(join(folder, "target", "full"), { recursive: true });
    const [code] = await codeOf(writeFileAtomic(join(folder, "target"), "data"));
    expect(code).toBe("OUTPUT_UNWRITABLE");
    expect(await readdir(folder)).toEqual(["target"]);
  });

  it("reports file systems that take no files", async () => {
    const [code, message] = await codeOf(probeWritable("/proc/tts-var-out"));
    expect(code).toBe("OUTPUT_UNWRITABLE");
    expect(message).toContain("/proc/tts-var-out");
  });

  it("reports a folder without permission", async () => {
    const folder = join(dir, "locked");
    await mkdir(folder);
    await chmod(folder, 0o500);
    const outcome = await probeWritable(folder).then(
      () => "written",
      (error: TtsVarError) => error.code,
    );
    // The superuser may write anywhere; for everybody else this must be refused.
    expect(outcome).toBe(process.getuid?.() === 0 ? "written" : "OUTPUT_UNWRITABLE");
    await chmod(folder, 0o700);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("probeWritable", () => {
  it("leaves no trace of itself, new folders included", async () => {
    await probeWritable(join(dir, "not", "yet"));
    expect(await readdir(dir)).not.toContain("not");
  });
});

describe("png", () => {
  const image = { width: 3, height: 2, data: Uint8Array.from({ length: 18 }, (_, index) => index * 14) };

  it("keeps every pixel", async () => {
    const bytes = await encodePng(image);
    expect(pixelHash(await decodePng(bytes))).toBe(pixelHash(image));
  });

  it("puts transparent and grey images on white RGB", async () => {
    const transparent = await sharp({
      create: { width: 2, height: 1, channels: 4, background: { r: 9, g: 9, b: 9, alpha: 0 } },
    })
      .png()
      .toBuffer();
    expect(Array.from((await decodePng(transparent)).data)).toEqual([255, 255, 255, 255, 255, 255]);
    const grey = await sharp(Buffer.from([7, 200]), { raw: { width: 2, height: 1, channels: 1 } })
      .png()
      .toBuffer();
    expect(Array.from((await decodePng(grey)).data)).toEqual([7, 7, 7, 200, 200, 200]);
  });

  it("turns images as their EXIF data says, as GenEval's evaluator does", async () => {
    const raw = { raw: { width: 2, height: 1, channels: 3 } } as const;
    const turned = sharp(Buffer.from([255, 0, 0, 0, 255, 0]), raw).withMetadata({ orientation: 6 });
    const { width, height, data } = await decodePng(await turned.png().toBuffer());
    expect([width, height, ...data]).toEqual([1, 2, 255, 0, 0, 0, 255, 0]);
  });

  it("names a file that is no image", async () => {
    await writeFile(join(dir, "broken.png"), "no picture");
    const [code, message] = await codeOf(decodePng(join(dir, "broken.png")));
    expect(code).toBe("EVAL_DATA");
    expect(message).toContain("broken.png");
  });
});

describe("jsonl", () => {
  it("reads what was appended and tolerates a torn last line only", async () => {
    const path = join(dir, "rows.jsonl");
    appendJsonl(path, [{ a: 1 }, { a: 2 }]);
    await writeFile(path, '{"a":3', { flag: "a" });
    expect(await readJsonl(path)).toEqual({ rows: [{ a: 1 }, { a: 2 }], tornTail: true });
    appendJsonl(path, [{ a: 4 }]);
    expect(await readJsonl(path)).toEqual({ rows: [{ a: 1 }, { a: 2 }, { a: 4 }], tornTail: false });
  });

  it("cuts off a tail that was the only line", async () => {
    const path = join(dir, "only.jsonl");
    await writeFile(path, '{"a":');
    appendJsonl(path, [{ b: 1 }]);
    expect((await readJsonl(path)).rows).toEqual([{ b: 1 }]);
  });

  it("names the line of a damaged file", async () => {
    const path = join(dir, "damaged.jsonl");
    await writeFile(path, '{"a":1}\nnonsense\n{"a":2}\n');
    const [code, message] = await codeOf(readJsonl(path));
    expect(code).toBe("EVAL_DATA");
    expect(message).toContain("damaged.jsonl:2");
  });

  it("reports a full device and keeps no part of the line", async () => {
    const path = join(dir, "full.jsonl");
    await symlink("/dev/full", path);
    const write = async () => new JsonlWriter(path).write({ a: 1 });
    const [code, message] = await codeOf(write());
    expect(code).toBe("OUTPUT_UNWRITABLE");
    expect(message).toMatch(/disk is full/);
  });
});

describe("RunFolder", () => {
  const start = {
    command: "search",
    config: { prompt: "a cup" },
    origins: { prompt: "--prompt" },
    configHash: "0".repeat(64),
    seed: 0,
    versions: { node: "20" },
    models: {},
  };

  it("is valid from the first moment and at the end", async () => {
    const folder = await RunFolder.create(join(dir, "run"), start);
    expect((await readRunRecord(folder.dir)).status).toBe("running");
    folder.trace.event({ type: "release", population: 0 });
    await folder.image("c0", { width: 1, height: 1, data: new Uint8Array([1, 2, 3]) });
    await folder.finish("aborted", { code: "INTERRUPTED", message: "stopped" });
    await folder.finish("done");
    const record = await readRunRecord(folder.dir);
    expect(record.status).toBe("aborted");
    expect(record.error?.code).toBe("INTERRUPTED");
    expect(await readTrace(folder.dir)).toEqual({
      rows: [{ type: "release", population: 0 }],
      tornTail: false,
    });
    expect((await readdir(folder.dir)).sort()).toEqual(["images", "run.json", "timing.jsonl", "trace.jsonl"]);
  });

  it("replaces an earlier run and leaves other files alone", async () => {
    const target = join(dir, "run");
    await writeFile(join(target, "notes.txt"), "mine");
    const folder = await RunFolder.create(target, start);
    await folder.finish("done");
    expect((await readdir(target)).sort()).toEqual(["notes.txt", "run.json", "timing.jsonl", "trace.jsonl"]);
    expect((await readTrace(target)).rows).toEqual([]);
  });

  it("knows a clip's frames and tokens as its own, and what nobody listed as another's", async () => {
    const target = join(dir, "clip");
    const clip = await RunFolder.create(target, start);
    const frame = { width: 1, height: 1, data: new Uint8Array(3) };
    for (const id of ["c0", "c0-0", "c0.1-12"]) await clip.image(id, frame);
    await clip.file("tokens/c0.json", "{}");
    await clip.finish("done");
    const again = await RunFolder.create(target, start);
    await again.finish("done");
    expect((await readdir(target)).sort()).toEqual(["run.json", "timing.jsonl", "trace.jsonl"]);
    await writeFileAtomic(join(target, "images", "c0-3.png"), "mine");
    expect((await codeOf(RunFolder.create(target, start)))[1]).toContain("holds images/c0-3.png");
  });

  it("refuses folders that are no run and runs of a newer version", async () => {
    expect((await codeOf(readRunRecord(join(dir, "a"))))[1]).toContain("not a run folder");
    const newer = join(dir, "newer");
    await writeFileAtomic(join(newer, "run.json"), JSON.stringify({ ...start, schemaVersion: 2 }));
    expect((await codeOf(readRunRecord(newer)))[1]).toContain("schemaVersion 2");
  });
});

describe("a claim that others wait for", () => {
  it("is taken over at once from a process that is gone, and later if nobody can read it", async () => {
    const lock = join(dir, ".claim");
    const gone = JSON.stringify({ program: "tts-var", host: hostname(), pid: 2 ** 30 });
    for (const left of [gone, gone.slice(0, 20), ""]) {
      await writeFile(lock, left);
      if (left !== gone) await utimes(lock, new Date(0), new Date(0));
      expect(await whileClaimed(lock, async () => "done", { command: "test" })).toBe("done");
      await expect(readFile(lock)).rejects.toThrow("ENOENT");
    }
  });
});
