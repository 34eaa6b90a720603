/** What commands say while they work. All of it goes to stderr. */
export interface Progress {
  /** The current state; on a terminal it replaces the former one, elsewhere it is dropped. */
  status(text: string): void;
  /** Something worth keeping: printed as a line of its own. */
  line(text: string): void;
  warn(text: string): void;
  /** Clears the status. */
  end(): void;
}
