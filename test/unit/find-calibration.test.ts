import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { calibrationFile, findCalibration } from "../../src/assemble/find-calibration.ts";
import type { Calibration } from "../../src/core/calibration.ts";
import { packageRoot } from "../../src/io/package-root.ts";
import { calibration } from "./support/search-run.ts";

const key = { modelName: "analytic", model: "analytic", reward: "sum", rewardVersion: "1" };
const noWarning = (message: string): void => expect.unreachable(message);
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-calibration-"));
});
afterAll(() => rm(dir, { recursive: true }));

const write = async (name: string, value: unknown): Promise<string> => {
  const path = join(dir, name);
  await writeFile(path, typeof value === "string" ? value : JSON.stringify(value));
  return path;
};

describe("a named calibration", () => {
  it("is read", async () => {
    const path = await write("good.json", calibration);
    expect(await findCalibration(path, key, noWarning)).toEqual(calibration);
  });

  it("is refused when it was made for other weights or another reward", async () => {
    const path = await write("other.json", calibration);
    for (const other of [{ model: "analytic@2" }, { reward: "product" }, { rewardVersion: "2" }]) {
      await expect(findCalibration(path, { ...key, ...other }, noWarning)).rejects.toMatchObject({
        code: "CONFIG_INVALID",
        message: expect.stringContaining(path),
      });
    }
  });

  it("is refused when it is none or missing", async () => {
    for (const value of ["{", "[]", { schemaVersion: 1 }, { ...calibration, schemaVersion: 2 }]) {
      const path = await write("bad.json", value);
      await expect(findCalibration(path, key, noWarning)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    }
    await expect(findCalibration(join(dir, "no.json"), key, noWarning)).rejects.toMatchObject({
      code: "CONFIG_NOT_FOUND",
    });
  });
});

describe("a calibration of the package", () => {
  it("is found by model and reward, left out with a warning for other weights, and left out on demand", async () => {
    const path = join(packageRoot(), "configs", "calibration", calibrationFile("embedded", "clip"));
    const shipped = JSON.parse(await readFile(path, "utf8")) as Calibration;
    const right = { modelName: "embedded", ...shipped };
    expect(await findCalibration(undefined, right, noWarning)).toEqual(shipped);
    expect(await findCalibration("none", right, noWarning)).toBeNull();
    expect(await findCalibration(undefined, { ...right, modelName: "elsewhere" }, noWarning)).toBeNull();
    const warnings: string[] = [];
    const other = { ...right, model: "embedded@other" };
    expect(await findCalibration(undefined, other, (message) => warnings.push(message))).toBeNull();
    expect(warnings).toEqual([expect.stringContaining("tts-var calibrate")]);
  });
});
