import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import type { StageDurations } from '#proto/framebus/detection/v1/stage_durations.js';
import { table } from '../status/table.js';

const WINDOW_MS = 10_000;
/** Of very many streams only the newest records count. */
const MOST_RECORDS = 20_000;

const STAGES: readonly [keyof StageDurations, string][] = [
  ['captureNs', 'capture'],
  ['dispatchNs', 'dispatch'],
  ['batchNs', 'batch'],
  ['preprocessNs', 'preprocess'],
  ['engineNs', 'engine'],
  ['decodeNs', 'decode'],
  ['refineNs', 'refine'],
  ['transportNs', 'transport'],
  ['reorderNs', 'reorder'],
  ['trackingNs', 'tracking'],
];

/** From the capture, or where that is not known from the decoder, to the record, in milliseconds. */
export function totalMs({ latencyNs, stages }: Pick<DetectionRecord, 'latencyNs' | 'stages'>): number {
  return Number(latencyNs + (stages?.captureNs ?? 0n)) / 1e6;
}

interface Sample {
  atMs: number;
  record: Pick<DetectionRecord, 'latencyNs' | 'stages'>;
  /** From the record to this program; null: it was stored meanwhile. */
  deliveryMs: number | null;
}

/** Where the time of the frames of the last seconds went. */
export class LatencyTable {
  readonly #isLive: boolean;
  readonly #nowMs: () => number;
  readonly #unixMs: () => number;
  #samples: Sample[] = [];

  /** @param isLive the records come as they are made; not from the store */
  constructor(isLive: boolean, nowMs: () => number, unixMs: () => number) {
    this.#isLive = isLive;
    this.#nowMs = nowMs;
    this.#unixMs = unixMs;
  }

  add({ latencyNs, stages, recordedUnixNs }: DetectionRecord): void {
    const deliveryMs = this.#isLive && recordedUnixNs !== 0n ? this.#unixMs() - Number(recordedUnixNs / 1_000_000n) : null;
    this.#samples.push({ atMs: this.#nowMs(), record: { latencyNs, stages }, deliveryMs });
    if (this.#samples.length > 2 * MOST_RECORDS) this.#forget();
  }

  /** A line for each stage that a frame came by; milliseconds. */
  text(): string {
    this.#forget();
    if (this.#samples.length === 0) return 'no frame in the last 10 s';
    const values = (of: (sample: Sample) => number | null): number[] => this.#samples.flatMap((sample) => of(sample) ?? []);
    const ofStage = (stage: keyof StageDurations): number[] =>
      values(({ record }) => (record.stages?.[stage] === undefined ? null : Number(record.stages[stage]) / 1e6));
    const rows: [string, number[]][] = [
      ...STAGES.map(([stage, name]): [string, number[]] => [name, ofStage(stage)]),
      ['in all', values(({ record }) => totalMs(record))],
      ['to here', values(({ deliveryMs }) => deliveryMs)],
    ];
    const cells = rows.filter(([, ms]) => ms.length > 0).map(([name, ms]) => [name, quantile(ms, 0.5), quantile(ms, 0.99), String(ms.length)]);
    const head = ['ms', 'p50', 'p99', 'frames'];
    return table([head, ...cells], new Set([1, 2, 3]));
  }

  #forget(): void {
    const sinceMs = this.#nowMs() - WINDOW_MS;
    this.#samples = this.#samples.slice(-MOST_RECORDS).filter(({ atMs }) => atMs >= sinceMs);
  }
}

function quantile(values: readonly number[], q: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN).toFixed(1);
}
