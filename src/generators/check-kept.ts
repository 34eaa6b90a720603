import { TtsVarError } from "../core/errors.ts";
import { type TokenKind, type Tokens, tokensProblem } from "../core/tokens.ts";

/**
 * Refuses kept tokens that a model cannot take. Also at borders: packed on their way, too few bits would not be seen.
 *
 * @param counts tokens of each stage
 * @throws TtsVarError CONFIG_INVALID
 */
export function checkKept(kind: TokenKind, counts: readonly number[], keep: readonly Tokens[] = []): void {
  if (keep.length > counts.length) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `kept tokens of ${keep.length} stages are given, but the model has ${counts.length}`,
    );
  }
  keep.forEach((tokens, stage) => {
    const problem = tokensProblem(kind, tokens, counts[stage]!);
    if (problem) throw new TtsVarError("CONFIG_INVALID", `kept tokens of stage ${stage}: ${problem}`);
  });
}
