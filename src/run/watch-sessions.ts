import type { Generator, Picture, Session, View } from "../core/generator.ts";

/** What somebody who looks on is told of a generator's sessions. */
export interface SessionWatcher {
  /** A stage is done; may look further, which draws nothing and changes nothing. */
  stepped?(session: Session): Promise<void>;
  /** Rows of the session were looked at. */
  viewed?(session: Session, rows: readonly number[], pictures: readonly Picture[], view: View): void;
}

/** A generator that tells of everything that its sessions do. */
export function watchSessions(generator: Generator, watcher: SessionWatcher): Generator {
  const wrap = (session: Session): Session => ({
    get ids() {
      return session.ids;
    },
    get stage() {
      return session.stage;
    },
    async step() {
      const signals = await session.step();
      await watcher.stepped?.(session);
      return signals;
    },
    select: (picks) => session.select(picks),
    branch: async (picks) => wrap(await session.branch(picks)),
    async view(rows, view) {
      const pictures = await session.view(rows, view);
      watcher.viewed?.(session, rows, pictures, view);
      return pictures;
    },
    tokens: (rows, stage) => session.tokens(rows, stage),
    ...(session.refine ? { refine: (share, ids) => session.refine!(share, ids) } : {}),
    ...(session.rewind ? { rewind: (stage, ids) => session.rewind!(stage, ids) } : {}),
    release: () => session.release(),
  });
  return { ...generator, start: async (task, ids) => wrap(await generator.start(task, ids)) };
}
