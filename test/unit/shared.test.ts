import { describe, expect, it } from "vitest";
import { Shared } from "../../src/inference/runtime/shared.ts";

describe("what is opened once for all", () => {
  let opened = 0;
  let closed = 0;
  const open = async (): Promise<AsyncDisposable> => {
    opened++;
    return {
      async [Symbol.asyncDispose]() {
        closed++;
      },
    };
  };

  it("is shared by those who use it at the same time and closed by the last, who may leave twice", async () => {
    const shared = new Shared();
    const [one, two] = await Promise.all([shared.use("a", open), shared.use("a", open)]);
    const other = await shared.use("b", open);
    expect(one.thing).toBe(two.thing);
    expect(other.thing).not.toBe(one.thing);
    expect(opened).toBe(2);
    await one.leave();
    await one.leave();
    expect(closed).toBe(0);
    await two.leave();
    expect(closed).toBe(1);
    const again = await shared.use("a", open);
    expect(again.thing).not.toBe(one.thing);
  });

  it("is tried again after it could not be opened", async () => {
    const shared = new Shared();
    const refused = () => Promise.reject(new Error("no"));
    await expect(shared.use("a", refused)).rejects.toThrow("no");
    expect((await shared.use("a", open)).thing).toBeDefined();
  });
});
