import { type Document, LineCounter, parseDocument } from "yaml";
import { TtsVarError } from "../core/errors.ts";

/** Values that aliases may stand for; more is a mistake, or meant to fill the memory. */
const MOST_ALIASES = 100;

export interface YamlFile {
  readonly value: unknown;
  readonly document: Document.Parsed;
  readonly lines: LineCounter;
}

/** Parses the text of a YAML (or JSON) file. @throws CONFIG_INVALID with file, line and column */
export function readYaml(text: string, path: string): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    const issues = document.errors.map((error) => {
      const { line, col } = lines.linePos(error.pos[0]);
      return `${path}:${line}:${col}: ${error.message}`;
    });
    throw new TtsVarError("CONFIG_INVALID", issues.join("\n"), { details: { issues } });
  }
  try {
    return { value: document.toJS({ maxAliasCount: MOST_ALIASES }), document, lines };
  } catch (cause) {
    // Aliases are looked up here only: unknown ones, and too many.
    const { message } = cause as Error;
    throw new TtsVarError("CONFIG_INVALID", `${path}: ${message}; write the values out`, { cause });
  }
}
