import { Counter, Gauge, type Registry } from 'prom-client';

/** What the metrics are read from when somebody asks. */
export interface SinkNumbers {
  /** Clients connected now, by what they use. */
  clients(): Readonly<Record<'grpc' | 'page' | 'rtsp', number>>;
  /** Records that slow subscribers have lost so far. */
  recordsDropped(): number;
  /** Records that JetStream has acknowledged so far. */
  recordsStored(): number;
  /** Records that could not be stored so far, by reason. */
  recordsNotStored(): ReadonlyMap<string, number>;
  /** Frames held now. */
  leases(): number;
}

/** Metrics of the sink beyond those of its streams. */
export function registerMetrics(registry: Registry, numbers: SinkNumbers): void {
  new Gauge({
    name: 'framebus_sink_clients',
    help: 'Clients connected now: gRPC subscribers, viewers of the page, RTSP sessions.',
    labelNames: ['kind'],
    registers: [registry],
    collect() {
      for (const [kind, count] of Object.entries(numbers.clients())) this.set({ kind }, count);
    },
  });
  new Counter({
    name: 'framebus_sink_records_dropped_total',
    help: 'Records that gRPC subscribers lost because they read too slowly.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(numbers.recordsDropped());
    },
  });
  new Counter({
    name: 'framebus_sink_records_stored_total',
    help: 'Records that NATS has stored.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(numbers.recordsStored());
    },
  });
  new Counter({
    name: 'framebus_sink_records_not_stored_total',
    help: 'Records that NATS has not stored, or not said so in time, by reason.',
    labelNames: ['reason'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [reason, count] of numbers.recordsNotStored()) this.inc({ reason }, count);
    },
  });
  new Gauge({
    name: 'framebus_sink_leases',
    help: 'Frames of the bus that the sink holds now.',
    registers: [registry],
    collect() {
      this.set(numbers.leases());
    },
  });
}
