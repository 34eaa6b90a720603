import { canonicalJson } from "../../core/canonical-json.ts";
import { TtsVarError } from "../../core/errors.ts";
import type { Generator, GeneratorDefinition, GeneratorTraits } from "../../core/generator.ts";
import { openMovable } from "./movable-session.ts";
import { asServer, type NamedServer, Place } from "./place.ts";

/** Addresses of one spec: `http://a:8710,http://b:8710`. */
export function addressesOf(spec: string): string[] {
  return spec.split(/,(?=https?:\/\/)/);
}

/**
 * Several servers of the same model as one generator. Sessions go to the server with the fewest. When a
 * server fails, its sessions are made again on another one, call by call; draws are keyed, so that the bits are those of a
 * single server, and that is checked by the hashes of the tokens.
 *
 * @throws (describe, open) TtsVarError MODEL_INVALID when the servers do not serve the same model in the same version
 */
export function manyServers(servers: readonly NamedServer<GeneratorDefinition>[]): GeneratorDefinition {
  return {
    describe: async (request) =>
      agreed(
        await Promise.all(
          servers.map(async ({ name, generator }) => ({ name, traits: await generator.describe(request) })),
        ),
      ),
    async open(request, host) {
      const opening = servers.map(({ generator }) => generator.open(request, host));
      const settled = await Promise.allSettled(opening);
      try {
        const opened = await Promise.all(opening);
        const named = servers.map(({ name }, index) => ({ name, generator: opened[index]! }));
        agreed(named.map(({ name, generator: { traits } }) => ({ name, traits })));
        return fleetOf(named);
      } catch (error) {
        for (const each of settled) {
          if (each.status === "fulfilled") await each.value[Symbol.asyncDispose]();
        }
        throw error;
      }
    },
  };
}

function agreed(
  told: readonly { readonly name: string; readonly traits: GeneratorTraits }[],
): GeneratorTraits {
  const [first, ...others] = told;
  const other = others.find(({ traits }) => canonicalJson(traits) !== canonicalJson(first!.traits));
  if (other === undefined) return first!.traits;
  throw new TtsVarError(
    "MODEL_INVALID",
    `${other.name} serves ${other.traits.version}, but ${first!.name} ${first!.traits.version}, or of another form; servers ` +
      "of one search must serve the same model, computed alike",
  );
}

/** Generators that are one; disposing of it disposes of all. */
export function fleetOf(named: readonly NamedServer<Generator>[]): Generator {
  const servers = named.map(asServer);
  const { traits, encode, withSettings } = servers[0]!.generator;
  return {
    traits,
    start(task, ids) {
      return openMovable(servers, ({ generator }) => generator.start(task, ids), ids, traits.can);
    },
    ...(encode
      ? {
          async encode(image) {
            const place = new Place(servers, async ({ generator }) => generator);
            return place.use((one) => one.encode!(image)).finally(() => place.leave(() => undefined));
          },
        }
      : {}),
    ...(withSettings
      ? {
          async withSettings(settings: unknown) {
            const others = await Promise.all(
              servers.map(async ({ name, generator }) => ({
                name,
                generator: await generator.withSettings!(settings),
              })),
            );
            return fleetOf(others);
          },
        }
      : {}),
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(servers.map(({ generator }) => generator[Symbol.asyncDispose]()));
    },
  };
}
