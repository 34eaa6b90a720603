import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import sharp from "sharp";
import { afterEach, describe, expect, test, vi } from "vitest";
import { loadReward } from "../../src/plugins/load-reward.ts";
import { createScoring } from "../../src/scoring/create-scoring.ts";
import { greyItems, rewardContext, rewardHost } from "../fixtures/reward-host.ts";

type Answer = (body: never, response: ServerResponse, request: IncomingMessage, call: number) => void;

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A server on loopback that answers as told; returns its address and the bodies it received. */
async function serve(answer: Answer): Promise<{ url: string; bodies: unknown[] }> {
  const bodies: unknown[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString());
    bodies.push(body);
    answer(body as never, response, request, bodies.length);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bodies };
}

const json = (response: ServerResponse, content: unknown) => response.end(JSON.stringify(content));

async function scoreWith(spec: string, options: object, levels: number[], signal?: AbortSignal) {
  const { value } = await loadReward(spec, options, rewardHost("."));
  const { scores, details } = await createScoring(value, { options }).score(
    greyItems(levels),
    rewardContext(signal),
  );
  return { scores: Array.from(scores), details };
}

describe("a reward behind HTTP", () => {
  test("images arrive lossless with id, prompt and metadata; details come back", async () => {
    const { url, bodies } = await serve((body: { items: unknown[] }, response) =>
      json(response, { scores: body.items.map((_, i) => i), details: body.items.map((_, i) => ({ i })) }),
    );
    const { scores, details } = await scoreWith(url, {}, [10, 20]);
    expect(scores).toEqual([0, 1]);
    expect(details).toEqual([{ i: 0 }, { i: 1 }]);
    const [{ schemaVersion, items }] = bodies as [
      { schemaVersion: number; items: Record<string, unknown>[] },
    ];
    expect([schemaVersion, items.length]).toEqual([1, 2]);
    expect(items[1]).toMatchObject({ id: "c1", prompt: "a photo of a dog", metadata: {} });
    const png = Buffer.from(items[1]!["imagePngBase64"] as string, "base64");
    const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
    expect([info.width, info.channels, ...new Set(data)]).toEqual([8, 3, 20]);
  });

  test("a server that fails for a while is asked again, and nothing scored is lost", async () => {
    const { url, bodies } = await serve((body: { items: unknown[] }, response, _request, call) => {
      if (call === 2) response.writeHead(503).end("warming up");
      else json(response, { scores: body.items.map(() => call) });
    });
    expect((await scoreWith(url, { maxBatch: 1 }, [1, 2])).scores).toEqual([1, 3]);
    expect(bodies.length).toBe(3);
  });

  test.each<[string, object, RegExp, number, Answer]>([
    [
      "slow",
      { timeoutMs: 80, retries: 1 },
      /did not answer within 0\.08 s \(asked 2 times\)/,
      2,
      () => undefined,
    ],
    [
      "failing",
      { retries: 2 },
      /answered 500: out of memory \(asked 3 times\)/,
      3,
      (_, r) => r.writeHead(500).end("out of memory"),
    ],
    ["refusing", {}, /answered 403: no/, 1, (_, r) => r.writeHead(403).end("no")],
    ["malformed", {}, /not JSON: <html>/, 1, (_, r) => r.end("<html>")],
    ["of another form", {}, /another form .*scores/s, 1, (_, r) => json(r, { score: 1 })],
    ["wrong-length", {}, /returned 1 scores for 2 images \(c0, c1\)/, 1, (_, r) => json(r, { scores: [1] })],
  ])(
    "a %s server gives a clear error after bounded attempts",
    async (_name, options, message, calls, answer) => {
      const { url, bodies } = await serve(answer);
      await expect(scoreWith(url, options, [1, 2])).rejects.toMatchObject({
        code: "REWARD_FAILED",
        message: expect.stringMatching(message),
      });
      expect(bodies.length).toBe(calls);
    },
  );

  test("a server that asks for patience gets it: Retry-After, then the answer", async () => {
    const pauses = vi.spyOn(globalThis, "setTimeout");
    const { url } = await serve((body: { items: unknown[] }, response, _request, call) => {
      if (call === 1) response.writeHead(429, { "retry-after": "1" }).end("slow down");
      else json(response, { scores: body.items.map(() => call) });
    });
    expect((await scoreWith(url, {}, [1])).scores).toEqual([2]);
    expect(pauses.mock.calls.map(([, ms]) => ms)).toContain(1000);
    pauses.mockRestore();
  });

  test("an interrupt ends the waiting", async () => {
    const { url } = await serve(() => undefined);
    const controller = new AbortController();
    const scoring = scoreWith(url, {}, [1], controller.signal);
    controller.abort(new Error("interrupted"));
    await expect(scoring).rejects.toThrow("interrupted");
  });

  test("vlm: probability of yes over all spellings, from an OpenAI-compatible endpoint", async () => {
    const top = [
      { token: " Yes", logprob: Math.log(0.5) },
      { token: "yes", logprob: Math.log(0.1) },
      { token: "No", logprob: Math.log(0.2) },
      { token: "Maybe", logprob: Math.log(0.2) },
    ];
    const { url, bodies } = await serve((_, response) =>
      json(response, { choices: [{ logprobs: { content: [{ top_logprobs: top }] } }] }),
    );
    const { scores } = await scoreWith("vlm", { url: `${url}/v1`, model: "some-vlm" }, [1]);
    expect(scores[0]).toBeCloseTo(0.75, 12);
    const text = JSON.stringify(bodies[0]);
    expect(text).toContain('Does this figure show \\"a photo of a dog\\"? Please answer yes or no.');
    expect(text).toContain("data:image/png;base64,");
  });

  test("vlm: a structured verdict with the probability of each answer, and their mean", async () => {
    const says: Record<string, [string, number][]> = {
      "How many dogs are there?": [
        ["two", 0.5],
        [" Two", 0.125],
        ["2", 0.25],
        ["three", 0.125],
      ],
      "Is it a photo of a dog?": [
        ["Yes", 0.25],
        ["No", 0.75],
      ],
      "Is the dog red?": [["\u0120Yes", 1]],
    };
    const { url, bodies } = await serve(
      (body: { messages: { content: { text?: string }[] }[] }, response) => {
        const text = body.messages[0]!.content[1]!.text!;
        const top = says[text.replace(/ Answer in one word\.$/, "")]!;
        const top_logprobs = top.map(([token, p]) => ({ token, logprob: Math.log(p) }));
        json(response, { choices: [{ logprobs: { content: [{ top_logprobs }] } }] });
      },
    );
    const questions = [
      { question: "How many dogs are there?", expected: "two", skill: "count" },
      { question: "Is it {prompt}?" },
      { question: "Is the dog red?", parent: [1] },
    ];
    const options = { url, model: "m", questions };
    const am = await scoreWith("vlm", { ...options, aggregate: "am" }, [1]);
    expect(am.scores[0]).toBeCloseTo((0.875 + 0.25 + 0) / 3, 12);
    expect(am.details).toMatchObject([
      {
        correct: false,
        reason: "Is it a photo of a dog? yes: 0.25",
        atoms: [{ p: expect.closeTo(0.875, 12), skill: "count" }, { p: 0.25 }, { p: 1, parent: [1] }],
      },
    ]);
    expect(
      (await scoreWith("vlm", { ...options, questions: questions.slice(0, 2) }, [1])).scores[0],
    ).toBeCloseTo(Math.sqrt(0.875 * 0.25), 12);
    expect(bodies).toHaveLength(5);
    await expect(scoreWith("vlm", { ...options, questions: "metadata" }, [1])).rejects.toThrow(
      /the row of "a photo of a dog" has no questions/,
    );
    await expect(
      scoreWith("vlm", { ...options, questions: [{ question: "a?", parent: [0] }] }, [1]),
    ).rejects.toThrow(/places of earlier questions/);
  });

  test("vlm: the key goes along, a busy endpoint is asked again", async () => {
    const keys: unknown[] = [];
    const top = [{ token: "No", logprob: -0.1 }];
    const { url } = await serve((_, response, request, call) => {
      keys.push(request.headers.authorization);
      if (call === 1) response.writeHead(429, { "retry-after": "0" }).end("busy");
      else json(response, { choices: [{ logprobs: { content: [{ top_logprobs: top }] } }] });
    });
    vi.stubEnv("SOME_KEY", "secret");
    const options = { url: `${url}/v1/`, model: "m", apiKeyVariable: "SOME_KEY" };
    expect((await scoreWith("vlm", options, [1])).scores).toEqual([0]);
    vi.unstubAllEnvs();
    expect(keys).toEqual(["Bearer secret", "Bearer secret"]);
  });

  test.each<[string, object, RegExp, Answer]>([
    [
      "without probabilities",
      {},
      /candidate c0, answered without token probabilities; the endpoint must support logprobs/,
      (_, r) => json(r, { choices: [{ message: { content: "Yes" }, logprobs: null }] }),
    ],
    [
      "that says neither",
      {},
      /candidate c0, gave neither yes nor no .*change the question/,
      (_, r) =>
        json(r, { choices: [{ logprobs: { content: [{ top_logprobs: [{ token: "Hm", logprob: 0 }] }] } }] }),
    ],
    ["that breaks off", {}, /candidate c0, answered with something that is not JSON/, (_, r) => r.end("{")],
    [
      "that is slow",
      { timeoutMs: 80, retries: 1 },
      /candidate c0, failed: it did not answer within 0\.08 s \(asked 2 times\)/,
      () => undefined,
    ],
    [
      "that refuses",
      {},
      /candidate c0, failed: it answered 401: bad key/,
      (_, r) => r.writeHead(401).end("bad key"),
    ],
  ])("vlm: an endpoint %s gives a clear error", async (_name, options, message, answer) => {
    const { url } = await serve(answer);
    await expect(scoreWith("vlm", { url, model: "m", ...options }, [1])).rejects.toMatchObject({
      code: "REWARD_FAILED",
      message: expect.stringMatching(message),
    });
  });
});
