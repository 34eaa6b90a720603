/** Whether something may be used commercially, as far as its licence's name tells; "ask": read its terms first. */
export type CommercialUse = "yes" | "no" | "ask";

const permissive = /^(MIT|Apache-2\.0|BSD-[23]-Clause|ISC|CC0-1\.0|CC-BY-4\.0|Unlicense)$/;

/** By the SPDX name of a licence, or several joined by ", ": yes only if all of them are permissive. No legal advice. */
export function commercialUse(license: string): CommercialUse {
  const parts = license.split(", ");
  if (parts.some((part) => /\bNC\b|non-?commercial/i.test(part))) return "no";
  return parts.every((part) => permissive.test(part)) ? "yes" : "ask";
}
