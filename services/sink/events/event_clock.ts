export interface EventClock {
  /** Monotonic. */
  nowMs(): number;
  unixMs(): number;
}
