import { TtsVarError } from "../core/errors.ts";

/** Parser of a flag that takes a whole number. @throws TtsVarError USAGE naming the flag and its range */
export function wholeNumber(
  flag: string,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
    throw new TtsVarError("USAGE", `${flag} must be a whole number ${range}, not ${text}`);
  };
}
