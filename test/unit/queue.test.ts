import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TtsVarError } from "../../src/core/errors.ts";
import { fromWire, toWire } from "../../src/core/wire-error.ts";
import { maxAttempts, mayPass, withRetries } from "../../src/queue/backend.ts";
import { createInProcessBackend } from "../../src/queue/in-process.ts";
import { parseQueueUrl } from "../../src/queue/queue-address.ts";
import { isLostConnection } from "../../src/queue/queue-server.ts";
import { createWorkerPool } from "../../src/queue/worker-pool.ts";

const never = new AbortController().signal;

describe("retries", () => {
  it("repeat what may pass, at most maxAttempts times", async () => {
    let calls = 0;
    const flaky = async (): Promise<number> => {
      if (++calls < maxAttempts) throw new TtsVarError("REWARD_FAILED", "server away");
      return calls;
    };
    expect(await withRetries(flaky, never)).toBe(maxAttempts);
    calls = Number.NEGATIVE_INFINITY;
    let attempts = 0;
    const broken = async (): Promise<never> => {
      attempts++;
      throw new Error("always");
    };
    await expect(withRetries(broken, never)).rejects.toThrow("always");
    expect(attempts).toBe(maxAttempts);
  });

  it("do not repeat errors of configuration, models and budgets, nor after an abort", async () => {
    for (const code of ["CONFIG_INVALID", "MODEL_INVALID", "BUDGET_INFEASIBLE", "PLUGIN_UNKNOWN"] as const) {
      let calls = 0;
      const fail = async (): Promise<never> => {
        calls++;
        throw new TtsVarError(code, "no");
      };
      await expect(withRetries(fail, never)).rejects.toThrow("no");
      expect(calls).toBe(1);
      expect(mayPass(new TtsVarError(code, "no"))).toBe(false);
    }
    await expect(withRetries(async () => 1, AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop");
  });
});

describe("errors between processes", () => {
  it("keep code, message and details", () => {
    const error = new TtsVarError("MODEL_INVALID", "bad hash", { details: { file: "x" } });
    const back = fromWire(JSON.parse(JSON.stringify(toWire(error))));
    expect(back).toMatchObject({
      code: "MODEL_INVALID",
      message: "bad hash",
      details: { file: "x" },
      exitCode: 3,
    });
    expect(fromWire(JSON.parse(JSON.stringify(toWire(new RangeError("oops")))))).toMatchObject({
      name: "RangeError",
      message: "oops",
      stack: expect.stringContaining("queue.test.ts"),
    });
  });
});

describe("the in-process backend", () => {
  it("runs at most `concurrency` jobs at once and returns each result to its caller", async () => {
    let running = 0;
    let most = 0;
    const backend = createInProcessBackend(
      async (job: number) => {
        most = Math.max(most, ++running);
        await new Promise((next) => setImmediate(next));
        running--;
        return job * 2;
      },
      { concurrency: 2, dispose: async () => undefined },
    );
    const results = await Promise.all([1, 2, 3, 4, 5].map((job) => backend.submit(job, never)));
    expect(results).toEqual([2, 4, 6, 8, 10]);
    expect(most).toBe(2);
  });
});

describe("worker processes", { timeout: 120_000 }, () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "tts-var-pool-"));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  async function poolOf(program: string, onCrash: (message: string) => void) {
    const entry = join(dir, `${program.length}.mjs`);
    await writeFile(entry, program);
    return createWorkerPool<number, number>({ entry, count: 2, onCrash });
  }

  it("that cannot start end the run instead of leaving it waiting", async () => {
    const crashes: string[] = [];
    await using pool = await poolOf("process.exit(7);", (message) => crashes.push(message));
    const outcome = await Promise.allSettled([pool.submit(1, never), pool.submit(2, never)]);
    expect(outcome).toEqual(
      [1, 2].map(() => ({
        status: "rejected",
        reason: expect.objectContaining({
          message: "worker processes end with code 7 before they are ready",
        }),
      })),
    );
    expect(crashes.length).toBeGreaterThanOrEqual(5);
  });

  it("do another job although one job kills every worker that takes it", async () => {
    const program = `
      process.on("message", ({ key, job }) => {
        if (job < 0) process.exit(9);
        process.send({ type: "done", key, result: job * 2 }, () => {});
      });
      process.send({ type: "ready" }, () => {});`;
    await using pool = await poolOf(program, () => undefined);
    const [poison, good] = await Promise.allSettled([pool.submit(-1, never), pool.submit(21, never)]);
    expect(good).toEqual({ status: "fulfilled", value: 42 });
    expect(poison).toMatchObject({
      reason: { message: "5 worker processes in a row ended with code 9 on the same job" },
    });
  });
});

describe("addresses of queues", () => {
  const redis = (url: string): unknown => {
    const address = parseQueueUrl(url);
    return address.kind === "redis" ? address.redis : address.kind;
  };

  it("in Redis are parsed with their defaults", () => {
    expect(redis("redis://localhost")).toEqual({ host: "localhost", port: 6379 });
    expect(redis("redis://u:p%40ss@[::1]:7000/3")).toEqual({
      host: "::1",
      port: 7000,
      username: "u",
      password: "p@ss",
      db: 3,
    });
    expect(redis("rediss://h:1")).toEqual({ host: "h", port: 1, tls: {} });
  });

  it.each(["postgres", "postgresql"])(
    "in PostgreSQL (%s://) are given to the driver as they are",
    (scheme) => {
      const url = `${scheme}://u:p%40ss@h:7000/jobs?sslmode=require`;
      expect(parseQueueUrl(url)).toEqual({ kind: "postgres", label: "PostgreSQL at h:7000/jobs", url });
      expect(parseQueueUrl(`${scheme}://h`).label).toBe("PostgreSQL at h:5432");
    },
  );

  it.each(["localhost:6379", "http://h", "redis://", "redis://h/x", "postgres:///db", ""])(
    "refuses %j",
    (url) => {
      expect(() => parseQueueUrl(url)).toThrow(/must look like redis:\/\/host:6379/);
    },
  );
});

describe("troubles of PostgreSQL", () => {
  it.each([
    [{ code: "ECONNREFUSED", message: "" }, true],
    [{ code: "57P03", message: "the database system is starting up" }, true],
    [{ message: "Connection terminated unexpectedly" }, true],
    [{ code: "28P01", message: "password authentication failed" }, false],
    [{ code: "3D000", message: 'database "x" does not exist' }, false],
  ])("%j: a lost connection: %s", (error, lost) => {
    expect(isLostConnection(error)).toBe(lost);
  });
});
