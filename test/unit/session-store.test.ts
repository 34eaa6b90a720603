import { describe, expect, it } from "vitest";
import { toyDefinition } from "../../src/generators/next-scale/toy/definition.ts";
import { UnderSettings } from "../../src/generators/remote/under-settings.ts";
import { SessionStore } from "../../src/http/session-store.ts";

const session = () => Promise.resolve({ release: () => undefined });

/** A change that ends when it is told to. */
function held() {
  let end: (how: object | Error) => void = () => undefined;
  const told = new Promise<object>((resolve, reject) => {
    end = (how) => (how instanceof Error ? reject(how) : resolve(how));
  });
  return { make: () => told, end };
}

describe("changes of a session that overlap", () => {
  it("wait for each other, and one that fails leaves the others their turn", async () => {
    const store = new SessionStore(2, 10);
    await store.open("s", "start", session);
    const first = held();
    const failing = store.change("s", 0, "step", first.make);
    const second = store.change("s", 0, "select", async () => ({ second: true }));
    const third = store.change("s", 0, "other", async () => ({ third: true }));
    const looking = store.at("s", 0);
    first.end(new Error("no memory"));
    await expect(failing).rejects.toThrow("no memory");
    // Whoever was first has it; the state that the others were meant for is gone.
    expect(await second).toEqual({ revision: 1, second: true });
    await expect(third).rejects.toMatchObject({ code: "conflict" });
    await looking.catch((error: unknown) => expect(error).toMatchObject({ code: "conflict" }));
    expect(await store.change("s", 1, "step", async () => ({}))).toEqual({ revision: 2 });
    store.close();
  });

  it("are answered together when they are the same", async () => {
    const store = new SessionStore(2, 10);
    await store.open("s", "start", session);
    const step = held();
    const twice = [1, 2].map(() => store.change("s", 0, "step", step.make));
    step.end({ stage: 1 });
    expect(await Promise.all(twice)).toEqual([
      { revision: 1, stage: 1 },
      { revision: 1, stage: 1 },
    ]);
    store.close();
  });

  it("do not outlive a session that is released meanwhile", async () => {
    const store = new SessionStore(2, 10);
    await store.open("s", "start", session);
    const step = held();
    const under = store.change("s", 0, "step", step.make);
    const next = store.change("s", 1, "step", async () => ({}));
    store.release("s");
    step.end({});
    expect(await under).toEqual({ revision: 1 });
    await expect(next).rejects.toMatchObject({ code: "unknown-session" });
  });
});

describe("a generator under settings", () => {
  it("is made once for settings in use, and again for those that were forgotten or failed", async () => {
    const toy = await toyDefinition.open();
    const made: unknown[] = [];
    const under = new UnderSettings({
      ...toy,
      withSettings(settings) {
        made.push(settings);
        return toy.withSettings!(settings);
      },
    });
    expect((await under.for(undefined)).traits).toEqual(toy.traits);
    const hot = (temperature: number) => under.for({ temperature });
    const first = await hot(1);
    for (let other = 2; other <= 64; other++) await hot(other);
    expect([await hot(1), made.length]).toEqual([first, 64]);
    await hot(65);
    await hot(1);
    expect(made).toHaveLength(65);
    await hot(2);
    expect(made).toHaveLength(66);
    for (let times = 0; times < 2; times++)
      await expect(hot(-1)).rejects.toThrow("model.options.temperature");
    expect(made).toHaveLength(68);
  });
});
