import { describe, expect, it } from "vitest";
import { canonicalJson } from "../../src/core/canonical-json.ts";

describe("canonical JSON", () => {
  it("does not depend on the order of keys, at any depth, numbers as keys included", () => {
    const one = { b: [{ y: 1, x: null }], a: { 10: "ten", 9: "nine" } };
    const other = { a: { 9: "nine", 10: "ten" }, b: [{ x: null, y: 1 }] };
    expect(canonicalJson(one)).toBe('{"a":{"10":"ten","9":"nine"},"b":[{"x":null,"y":1}]}');
    expect(canonicalJson(other)).toBe(canonicalJson(one));
  });

  it("says what JSON says: dates as text, no undefined, no text for nothing", () => {
    const value = { when: new Date(0), gone: undefined, list: [undefined, Number.NaN], [Symbol("s")]: 1 };
    expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
    expect(canonicalJson(undefined)).toBe("null");
  });
});
