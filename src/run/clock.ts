/** Seconds of a monotonic clock. */
export function seconds(): number {
  return performance.now() / 1000;
}

/** Milliseconds since it was made, to the microsecond. */
export function stopwatch(): () => number {
  const start = performance.now();
  return () => Math.round((performance.now() - start) * 1000) / 1000;
}
