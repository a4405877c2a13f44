import { Counter, Gauge, type Registry } from 'prom-client';

/** What the metrics are read from when somebody asks. */
export interface SinkNumbers {
  /** Clients connected now, by what they use. */
  clients(): Readonly<Record<'grpc' | 'page' | 'rtsp', number>>;
  /** RTSP players that were disconnected so far, by reason. */
  rtspDropped(): ReadonlyMap<string, number>;
  /** RTSP requests with wrong credentials, or of users without the stream, so far. */
  rtspDenied(): number;
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
  registerRtspMetrics(registry, numbers);
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

function registerRtspMetrics(registry: Registry, numbers: SinkNumbers): void {
  new Counter({
    name: 'framebus_sink_rtsp_dropped_total',
    help: 'RTSP players that were disconnected: slow, because they did not read; silent, because nothing was heard of them.',
    labelNames: ['reason'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [reason, count] of numbers.rtspDropped()) this.inc({ reason }, count);
    },
  });
  new Counter({
    name: 'framebus_sink_rtsp_denied_total',
    help: 'RTSP requests with wrong credentials, or of users who may not watch the stream.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(numbers.rtspDenied());
    },
  });
}
