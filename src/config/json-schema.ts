import { z } from "zod";
import { NAMED_PLUGINS, searchSchema } from "./schema.ts";

/**
 * JSON Schema of a configuration file, for editors: `configs/schema.json`. Nothing is required in a file, because
 * flags may give the rest.
 */
export function configJsonSchema(): Record<string, unknown> {
  const { required: _required, ...schema } = z.toJSONSchema(searchSchema, { io: "input" }) as Record<
    string,
    unknown
  > & { properties: Record<string, unknown> };
  const properties = { ...schema.properties };
  for (const name of NAMED_PLUGINS) {
    properties[name] = { anyOf: [{ type: "string", minLength: 1 }, properties[name]] };
  }
  return { ...schema, title: "tts-var search configuration", properties };
}
