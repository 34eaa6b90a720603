import { afterEach, describe, expect, it } from "vitest";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";
import { probeProviders, provider, useProvider } from "../../src/inference/runtime/provider.ts";

afterEach(() => {
  delete process.env["TTS_VAR_PROVIDER"];
});

describe("the provider", () => {
  it("is the processor unless somebody decides otherwise, once for a process", async () => {
    expect(provider()).toBe("cpu");
    await useProvider(undefined);
    await useProvider("cpu");
    await expect(useProvider("cuda")).rejects.toThrow(
      "this process computes with the provider cpu already, so it cannot use cuda; start another process",
    );
  });

  it("is refused by name where the runtime was built without it, or nobody knows it", async () => {
    const foreign = process.platform === "darwin" ? "dml" : "coreml";
    await expect(useProvider(foreign)).rejects.toThrow(
      new RegExp(`onnxruntime-node for ${process.platform} .* has no provider ${foreign}; it has cpu`),
    );
    process.env["TTS_VAR_PROVIDER"] = "abacus";
    expect(provider).toThrow("TTS_VAR_PROVIDER must be one of cpu, cuda, webgpu, coreml, dml, not abacus");
  });

  it("is tried in a process of its own, which tells why it does not work", async () => {
    const found = await probeProviders(`${await embeddedModelPath("generator")}/nothing.onnx`);
    expect(found.get("cpu")).toMatch(/nothing\.onnx/);
  });
});
