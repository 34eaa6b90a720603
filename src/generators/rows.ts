import type { Generator, GeneratorTraits, Picture, View } from "../core/generator.ts";
import type { RngStream } from "../core/rng.ts";
import type { Task } from "../core/task.ts";
import type { Tokens } from "../core/tokens.ts";
import { batchGenerator, type DrawnRow } from "./batches.ts";

/**
 * A model that draws every candidate by itself. A `Row` is all that a candidate has come to; it is never changed, so
 * copies share it.
 */
export interface RowModel<Row> {
  /** Before the first stage. */
  begin(task: Task): Row | Promise<Row>;
  /**
   * Draws a stage.
   *
   * @param stream the candidate's randomness for this stage
   * @param kept   tokens to take instead
   */
  draw(row: Row, stage: number, stream: RngStream, kept: Tokens | undefined): DrawnRow<Row>;
  /** Draws a share of the latest stage's least certain tokens again. Capability `refine`. */
  refine?(row: Row, stage: number, share: number, stream: RngStream): DrawnRow<Row>;
  /** What it looks like after so many stages. Draws nothing. */
  look(row: Row, stages: number, view: View): Picture;
}

/**
 * A generator of a model that draws candidate by candidate: keyed draws, copies, branches and the way back are taken care
 * of. The shortest way to a generator of one's own.
 */
export function rowGenerator<Row>(traits: GeneratorTraits, model: RowModel<Row>): Generator {
  return batchGenerator<Row>(traits, {
    begin: (task) => model.begin(task),
    draw: async (turns, stage) => turns.map(({ row, stream, kept }) => model.draw(row, stage, stream, kept)),
    ...(model.refine
      ? {
          refine: async (turns, stage, share) =>
            turns.map(({ row, stream }) => model.refine!(row, stage, share, stream)),
        }
      : {}),
    look: async (rows, stages, view) => rows.map((row) => model.look(row, stages, view)),
  });
}
