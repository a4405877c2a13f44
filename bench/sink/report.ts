import { table } from '../../cli/status/table.js';
import { quantile } from '../bus/quantile.js';
import { BOXES } from './boxes.js';
import type { SinkFigures } from './measure.js';

/** Sink keeps at least so much of what the encoder alone can do. */
export const RATIO_BUDGET = 0.95;
/** Ten viewers cost at most so much of what one costs. */
export const VIEWERS_BUDGET = 1.2;
/** A picture is there within so many milliseconds of joining. */
export const JOIN_BUDGET_MS = 500;

const round = (value: number, digits = 3): number => Number(value.toFixed(digits));

/** For programs. */
export function sinkResult(figures: SinkFigures): object {
  const { sinkFps, bareFps, ratio, cpuUs, osdUsPerFrame, viewersCpuUs, viewersRatio, joinsMs, width, height } = figures;
  return {
    name: 'sink',
    fps: { sink: round(sinkFps), bare_encoder: round(bareFps) },
    ratio: round(ratio, 4),
    osd_us_per_frame: round(osdUsPerFrame, 1),
    viewers_10_cpu_ratio: round(viewersRatio, 4),
    join_ms: { p50: round(quantile(joinsMs, 0.5), 1), p99: round(quantile(joinsMs, 0.99), 1) },
    joins: joinsMs.length,
    cpu_us_per_frame: { encoder: round(cpuUs.encoder, 1), rest: round(cpuUs.rest, 1) },
    viewers_cpu_us_per_frame: { 1: round(viewersCpuUs.one, 1), 10: round(viewersCpuUs.ten, 1) },
    boxes: BOXES,
    frame_width: width,
    frame_height: height,
  };
}

/** For people, with the budgets beside them. */
export function sinkTable(figures: SinkFigures): string {
  const { sinkFps, bareFps, ratio, cpuUs, osdUsPerFrame, viewersCpuUs, viewersRatio, joinsMs, width, height } = figures;
  const p99 = quantile(joinsMs, 0.99);
  const budget = (kept: boolean): string => (kept ? 'within' : 'MISSED');
  return [
    `${width}×${height}, ${BOXES} boxes a frame`,
    table([
      ['sink', `${sinkFps.toFixed(1)}/s`, '', ''],
      ['its CPU', `${cpuUs.encoder.toFixed(0)} µs a frame in the encoder, ${cpuUs.rest.toFixed(0)} elsewhere`, '', ''],
      ['bare encoder', `${bareFps.toFixed(1)}/s`, '', ''],
      ['ratio', ratio.toFixed(3), `≥ ${RATIO_BUDGET}`, budget(ratio >= RATIO_BUDGET)],
      ['boxes', `${osdUsPerFrame.toFixed(0)} µs a frame`, '', ''],
      ['ten viewers', `${viewersRatio.toFixed(3)} of one (${viewersCpuUs.one.toFixed(0)} µs a frame)`, `< ${VIEWERS_BUDGET}`, budget(viewersRatio < VIEWERS_BUDGET)],
      ['joining', `p50 ${quantile(joinsMs, 0.5).toFixed(0)} ms, p99 ${p99.toFixed(0)} ms of ${joinsMs.length}`, `< ${JOIN_BUDGET_MS} ms`, budget(p99 < JOIN_BUDGET_MS)],
    ]),
  ].join('\n');
}
