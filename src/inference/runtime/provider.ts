import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { promisify } from "node:util";
import { TtsVarError } from "../../core/errors.ts";
import { PROVIDERS, type Provider } from "../../core/provider.ts";
import { silenceRuntime } from "../../threads/quiet-runtime.ts";
import { importOnnxRuntime } from "./native.ts";

// One provider a process: threads get it with their copy of the environment, so it need not travel with every model.
const CHOICE = "TTS_VAR_PROVIDER";

/** Where the sessions of this thread compute. @throws TtsVarError CONFIG_INVALID for a wrong TTS_VAR_PROVIDER */
export function provider(): Provider {
  const named = process.env[CHOICE] ?? "cpu";
  const known = PROVIDERS.find((each) => each === named);
  if (known) return known;
  throw new TtsVarError("CONFIG_INVALID", `${CHOICE} must be one of ${PROVIDERS.join(", ")}, not ${named}`);
}

/**
 * Decides it for this process, before a thread or a session is opened.
 *
 * @throws TtsVarError CONFIG_INVALID if it was decided otherwise; MODEL_RUNTIME where this build of the runtime lacks it
 */
export async function useProvider(wanted: Provider | undefined): Promise<void> {
  if (wanted !== undefined) {
    const before = process.env[CHOICE];
    if (before !== undefined && before !== wanted) {
      throw new TtsVarError(
        "CONFIG_INVALID",
        `this process computes with the provider ${before} already, so it cannot use ${wanted}; start another process`,
      );
    }
    process.env[CHOICE] = wanted;
  }
  const chosen = provider();
  if (chosen === "cpu") return;
  const built = await builtProviders();
  if (built.includes(chosen)) return;
  throw new TtsVarError(
    "MODEL_RUNTIME",
    `onnxruntime-node for ${process.platform} ${process.arch} has no provider ${chosen}; it has ${built.join(", ")}`,
  );
}

async function builtProviders(): Promise<string[]> {
  const { listSupportedBackends } = await importOnnxRuntime();
  return listSupportedBackends().map(({ name }) => name);
}

/** Providers that this build of the runtime has, with why each does not open the model, or null. */
export async function probeProviders(model: string): Promise<ReadonlyMap<Provider, string | null>> {
  const built = await builtProviders();
  const found = new Map<Provider, string | null>();
  for (const each of PROVIDERS) if (built.includes(each)) found.set(each, await whyNot(each, model));
  return found;
}

/** In a process of its own: native libraries write what they like to stderr, and some end the program. */
async function whyNot(each: Provider, model: string): Promise<string | null> {
  silenceRuntime();
  const runtime = createRequire(import.meta.url).resolve("onnxruntime-node");
  const program = `
    const [, runtime, model, provider] = process.argv;
    require(runtime).InferenceSession.create(model, { executionProviders: [provider], logSeverityLevel: 4 }).then(
      () => process.exit(0),
      (error) => process.stdout.write(error.message, () => process.exit(1)),
    );`;
  try {
    await promisify(execFile)(process.execPath, ["-e", program, runtime, model, each], { timeout: 60_000 });
    return null;
  } catch (error) {
    const { stdout = "" } = error as { stdout?: string };
    return stdout.trim().split("\n").at(-1)?.slice(-160) || "the runtime ended the program";
  }
}
