import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";

// A loader that knows no vitest stands for a project that has not installed it.
const withoutVitest = `import { register } from "node:module";
register("data:text/javascript," + encodeURIComponent(\`export function resolve(name, context, next) {
  if (name === "vitest") throw Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
  return next(name, context);
}\`));`;

it("tts-var/testing says in a sentence that it needs vitest", { timeout: 60_000 }, async () => {
  const program = 'import("./src/testing/index.ts").catch(({ code, message }) => console.log(code, message))';
  const loader = `data:text/javascript,${encodeURIComponent(withoutVitest)}`;
  const args = ["--import", "tsx", "--import", loader, "--eval", program];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  expect(stdout).toMatch(
    /^USAGE tts-var\/testing .* vitest is not installed: npm install --save-dev vitest\n$/,
  );
});
