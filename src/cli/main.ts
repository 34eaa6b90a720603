import { runCommandLine } from "./run.ts";

// A closed pipe (`tts-var list | head -1`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const code = await runCommandLine(process.argv.slice(2));
// Plug-ins may leave timers or sockets behind; the results are written, so the program ends here.
process.stdout.write("", () => process.exit(code));
