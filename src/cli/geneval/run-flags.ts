import type { Command } from "commander";

/** Adds the flags of every evaluation that makes images: how many, by whom, with which budget. */
export function addRunFlags(command: Command): Command {
  return command
    .option("--prompt-seed <seed>", "Seed of the generated prompts", "0")
    .option("--samples <n>", "Images per prompt", "4")
    .option(
      "--workers <n>",
      "Worker processes; 0: search in this process (default: one per core for larger sets)",
    )
    .option(
      "--queue <url>",
      "Search on `tts-var worker` processes: redis://host:port or postgres://host:port/database",
    )
    .option("--queue-name <name>", "Name of the queue, the same for workers")
    .option(
      "--results <how>",
      "How workers of a queue deliver: queue, or shared (they see --out themselves)",
      "queue",
    )
    .option(
      "--adaptive",
      "Spend --budget units per image on average: in rounds, where they are expected to help",
    )
    .option("--round <units>", "Units of one round with --adaptive (default: a quarter of the budget)")
    .option("--stop-at <score>", "With --adaptive: an image whose reward reaches this gets no further round");
}
