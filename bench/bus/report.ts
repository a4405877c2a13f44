import type { BusFigures, Percentiles } from './figures.js';

const round = (n: number): number => Number(n.toFixed(3));
const roundAll = <T extends string>(numbers: Record<T, number>): Record<T, number> =>
  Object.fromEntries(Object.entries<number>(numbers).map(([key, n]) => [key, round(n)])) as Record<T, number>;

/** 4K's figure over 720p's: 1 is flat. */
const flatness = (cpuUs: BusFigures['cpuUs']): number => cpuUs['4k'] / cpuUs['720p'];

/**
 * The line of `--json`. `cpu_us_per_frame` is what the bus itself costs, on both sides: acquire,
 * publish, lease, planes, release. How the descriptor gets from one side to the other is the
 * message system's cost; `through_nats_…` has both, `publish_to_view_us` its latency.
 */
export function busResult(figures: BusFigures): object {
  const { cpuUs, busOnlyCpuUs, shmsinkCpuUs, streams64 } = figures;
  return {
    name: 'bus',
    cpu_us_per_frame: roundAll(busOnlyCpuUs),
    flatness_720p_to_4k: round(flatness(busOnlyCpuUs)),
    shmsink_cpu_us_per_frame_1080p: round(shmsinkCpuUs),
    ratio_vs_shmsink: round(busOnlyCpuUs['1080p'] / shmsinkCpuUs),
    nats_payload_cpu_us_per_frame_1080p: round(figures.natsPayloadCpuUs),
    publish_to_view_us: roundAll({ ...figures.publishToViewUs }),
    nats_request_us: roundAll({ ...figures.natsRequestUs }),
    streams_64: {
      fps_total: round(streams64.framesPerSecond),
      cpu_seconds_per_1000_frames: round(streams64.cpuUs / 1000),
      nats_server_cpu_seconds_per_1000_frames: round(streams64.natsServerCpuUs / 1000),
    },
    through_nats_cpu_us_per_frame: roundAll(cpuUs),
    through_nats_flatness_720p_to_4k: round(flatness(cpuUs)),
    through_nats_ratio_vs_shmsink: round(cpuUs['1080p'] / shmsinkCpuUs),
    shmsink_in_place_cpu_us_per_frame_1080p: round(figures.shmsinkInPlaceCpuUs),
    nats_server_cpu_us_per_frame_1080p: round(figures.natsServerCpuUs),
    publish_to_view_pulled_us: roundAll({ ...figures.publishToViewPulledUs }),
    pacing_cpu_us_per_frame: round(figures.pacingCpuUs),
    frames_per_second: figures.framesPerSecond,
    through_nats_cpu_us_per_frame_1080p_by_frames_per_second: roundAll(figures.cpuUsAtRate),
    descriptor_bytes: figures.descriptorBytes,
  };
}

interface Row {
  what: string;
  figure: string;
  /** Empty where architecture §7 asks for nothing. */
  budget: string;
}

const us = (n: number): string => `${n.toFixed(1)} µs`;
const times = (n: number): string => `${n.toFixed(2)} ×`;
const pair = ({ p50, p99 }: Percentiles): string => `${p50.toFixed(0)} / ${p99.toFixed(0)} µs`;
const verdict = (isMet: boolean, budget: string): string => `${budget}: ${isMet ? 'met' : 'missed'}`;
const isFlat = (ratio: number): boolean => ratio >= 0.9 && ratio <= 1.1;

/** The same for people, with the budgets of architecture §7 beside the figures. */
export function busTable(figures: BusFigures): string {
  const rows = [...costRows(figures), ...latencyRows(figures), ...streamRows(figures)];
  const width = (key: keyof Row): number => Math.max(...rows.map((row) => row[key].length));
  const [what, figure] = [width('what'), width('figure')];
  return rows
    .map((row) => `${row.what.padEnd(what)}  ${row.figure.padStart(figure)}  ${row.budget}`.trimEnd())
    .join('\n');
}

function costRows(figures: BusFigures): Row[] {
  const { cpuUs, busOnlyCpuUs: bare, shmsinkCpuUs: shmsink, framesPerSecond } = figures;
  const sizes = (of: typeof cpuUs): string => `${us(of['720p'])}, ${us(of['1080p'])}, ${us(of['4k'])}`;
  const rates = Object.entries(figures.cpuUsAtRate).filter(([rate]) => Number(rate) !== framesPerSecond);
  const ratio = cpuUs['1080p'] / shmsink;
  const bareRatio = bare['1080p'] / shmsink;
  return [
    { what: 'CPU a frame in the bus, both sides, 720p, 1080p, 4K', figure: sizes(bare), budget: '' },
    {
      what: '  4K over 720p',
      figure: times(flatness(bare)),
      budget: verdict(isFlat(flatness(bare)), '0.9 to 1.1'),
    },
    { what: '  over shmsink', figure: times(bareRatio), budget: verdict(bareRatio <= 0.1, '≤ 0.1') },
    { what: `CPU a frame with its descriptor through NATS, at ${framesPerSecond}/s`, figure: sizes(cpuUs), budget: '' },
    ...rates.map(([rate, n]) => ({ what: `  1080p at ${rate}/s`, figure: us(n), budget: '' })),
    { what: '  4K over 720p', figure: times(flatness(cpuUs)), budget: '' },
    { what: '  over shmsink', figure: times(ratio), budget: '' },
    { what: '  nats-server, on top', figure: us(figures.natsServerCpuUs), budget: '' },
    { what: 'shmsink → shmsrc, 1080p, one copy', figure: us(shmsink), budget: '' },
    { what: '  written into its memory, no copy', figure: us(figures.shmsinkInPlaceCpuUs), budget: '' },
    { what: 'pixels in NATS messages, 1080p, with the server', figure: us(figures.natsPayloadCpuUs), budget: '' },
  ];
}

function latencyRows({ publishToViewUs, publishToViewPulledUs, natsRequestUs, descriptorBytes }: BusFigures): Row[] {
  const against = (view: Percentiles): string => {
    const [p50, p99] = [view.p50 / natsRequestUs.p50, view.p99 / natsRequestUs.p99];
    return verdict(p50 <= 2 && p99 <= 2, `≤ 2 requests (${times(p50)}, ${times(p99)})`);
  };
  return [
    { what: `NATS request of ${descriptorBytes} bytes, p50 / p99`, figure: pair(natsRequestUs), budget: '' },
    { what: 'publish → leased view, p50 / p99', figure: pair(publishToViewUs), budget: against(publishToViewUs) },
    {
      what: '  pulled from JetStream',
      figure: pair(publishToViewPulledUs),
      budget: against(publishToViewPulledUs),
    },
  ];
}

function streamRows({ streams64 }: BusFigures): Row[] {
  return [
    { what: '64 streams of 1080p at 30/s: reached', figure: `${streams64.framesPerSecond.toFixed(0)}/s`, budget: '' },
    { what: '  CPU seconds for 1000 frames, both sides', figure: (streams64.cpuUs / 1000).toFixed(3), budget: '' },
  ];
}
