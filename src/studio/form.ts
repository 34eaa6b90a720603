import { isAbsolute, resolve } from "node:path";
import { z } from "zod";
import { generatorRegistry, rewardRegistry, strategyRegistry } from "../assemble/builtins.ts";
import { getPath } from "../config/paths.ts";
import { type ConfigSources, type ResolvedConfig, resolveConfig, resolveRecipe } from "../config/resolve.ts";
import { searchSchema } from "../config/schema.ts";
import { TtsVarError } from "../core/errors.ts";
import type { Field, Settings } from "./api-types.ts";

/** Settings that the page offers, in its order. Everything else comes from the command line that started the studio. */
const OFFERED = [
  "task.prompt",
  "strategy.name",
  "budget",
  "task.seed",
  "reward.name",
  "model.name",
  "task.negativePrompt",
] as const;

/** Settings that name something to be loaded. The page may only name what is listed, or was named by who started it. */
const LISTS = {
  "strategy.name": () => strategyRegistry.list(),
  "reward.name": () => rewardRegistry.list(),
  "model.name": () => generatorRegistry.list(),
} as const;

type Path = (typeof OFFERED)[number];
type Named = keyof typeof LISTS;

/** The form: settings of a search, checked and completed by the same schema as the command line's. */
export class Form {
  readonly fields: readonly Field[];
  readonly #base: ConfigSources;

  /** @param base what the studio was started with; the page's values come on top. @throws CONFIG_INVALID */
  constructor(base: ConfigSources) {
    this.#base = base;
    const { config } = resolveRecipe(base);
    const schema = z.toJSONSchema(searchSchema, { io: "input" });
    this.fields = OFFERED.map((path) => fieldOf(path, schemaAt(schema, path), getPath(config, path)));
  }

  /**
   * The configuration of what the page asks for.
   *
   * @param own settings that the server itself decides; never the page's
   * @throws TtsVarError CONFIG_INVALID, USAGE for a setting that the page may not set
   */
  resolve(settings: Settings, own: Readonly<Record<string, unknown>> = {}): ResolvedConfig {
    const given = Object.entries(settings).map(([path, value]) => {
      this.#expectOffered(path, value);
      return { path, value, flag: "studio" };
    });
    const added = Object.entries(own).map(([path, value]) => ({ path, value, flag: "studio" }));
    return resolveConfig({ ...this.#base, flags: [...(this.#base.flags ?? []), ...given, ...added] });
  }

  /** The settings of a configuration that the form can show. */
  settingsOf(config: Readonly<Record<string, unknown>>): Settings {
    const values = OFFERED.map((path) => [path, getPath(config, path)] as const);
    const plain = values.filter(([, value]) => typeof value === "string" || typeof value === "number");
    return Object.fromEntries(plain) as Settings;
  }

  #expectOffered(path: string, value: string | number): void {
    const field = this.fields.find((offered) => offered.path === path);
    if (!field) throw new TtsVarError("USAGE", `${path} cannot be set here; start the studio with it`);
    if (!field.choices || field.choices.some(({ name }) => name === value)) return;
    throw new TtsVarError(
      "USAGE",
      `${path}: ${JSON.stringify(value)} is not offered here; start the studio with it, for instance ` +
        `tts-var studio --${path.split(".")[0]} ./file.mjs`,
    );
  }
}

interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
}

function schemaAt(schema: object, path: string): JsonSchema {
  return path.split(".").reduce<JsonSchema>((node, key) => node.properties?.[key] ?? {}, schema);
}

function fieldOf(path: Path, schema: JsonSchema, value: unknown): Field {
  const { type, description = "", minimum, maximum } = schema;
  const current = typeof value === "string" || typeof value === "number" ? value : null;
  const kind = type === "integer" ? "whole" : type === "number" ? "number" : "text";
  return {
    path,
    kind: path in LISTS ? "choice" : kind,
    help: description.replace(/;? ?\(?see `[^`]*`\)?/, ""),
    value: current,
    ...(minimum === undefined ? {} : { least: minimum }),
    ...(maximum === undefined ? {} : { most: maximum }),
    ...(path in LISTS ? { choices: choicesFor(path as Named, current) } : {}),
  };
}

/** What is listed, and what the studio was started with. */
function choicesFor(path: Named, current: string | number | null): NonNullable<Field["choices"]> {
  const listed = LISTS[path]().map(({ name, summary }) => ({ name, summary }));
  if (typeof current !== "string" || listed.some(({ name }) => name === current)) return listed;
  return [{ name: current, summary: isAbsolute(current) ? current : resolve(current) }, ...listed];
}
