import { ServiceState, ServiceStatus, StreamState } from '#proto/framebus/status/v1/status.js';
import { describe, expect, it } from 'vitest';
import { FleetBoard } from '../../../../cli/fleet/board.js';
import { flowOf, isOver } from '../../../../cli/demo/flow.js';
import { demoReport } from '../../../../cli/demo/report.js';
import { renderTable } from '../../../../cli/demo/table.js';

type Partial_ = Parameters<typeof ServiceStatus.fromPartial>[0];

function status(service: string, second: number, stream: object, more: Partial_ = {}): ServiceStatus {
  return ServiceStatus.fromPartial({
    service,
    instance: `${service}-0`,
    state: ServiceState.SERVICE_STATE_RUNNING,
    cpuSeconds: second / 4,
    unixNs: BigInt(second) * 1_000_000_000n,
    streams: [{ streamId: 'gate', ...stream }],
    ...more,
  });
}

const PLAYING = { state: StreamState.STREAM_STATE_PLAYING, width: 768, height: 576 };

function flowing(): FleetBoard {
  const board = new FleetBoard();
  for (const second of [10, 12]) {
    const frames = BigInt(second * 10);
    board.update(status('ingest', second, { ...PLAYING, framesIn: frames, drops: { skipped: 4n } }));
    board.update(status('infer', second, { framesInferred: frames / 2n, drops: { stale: 7n } }));
    board.update(
      status('sink', second, {
        framesIn: frames,
        framesOut: frames - 5n,
        drops: { skipped: 3n, late: 2n, stale: 1n },
        detections: { person: 30n, dog: 2n },
        latency: { p50Ms: 38.126, p99Ms: 61 },
      }),
    );
  }
  return board;
}

describe('FleetBoard', () => {
  it('puts a stream together from all services', () => {
    expect(flowing().rows(['gate'])[0]).toMatchObject({
      width: 768,
      framesDecoded: 120,
      framesInferred: 60,
      framesSent: 115,
      rates: { decoded: 10, inferred: 5, sent: 10 },
      latency: { p50Ms: 38.126, p99Ms: 61 },
    });
  });

  it('counts a frame that several services saw dropped once, and sink’s own reasons from sink', () => {
    const [row] = flowing().rows(['gate']);
    expect(Object.fromEntries(row!.drops)).toEqual({ skipped: 4, late: 2, stale: 1 });
  });

  it('knows the share of a core that a service uses', () => {
    expect(flowing().cores('infer')).toBeCloseTo(0.25);
  });

  it('takes rates over the last seconds only', () => {
    const board = new FleetBoard();
    board.update(status('ingest', 1, { framesIn: 0n }));
    board.update(status('ingest', 20, { framesIn: 1000n }));
    board.update(status('ingest', 21, { framesIn: 1030n }));
    expect(board.rows(['gate'])[0]!.rates.decoded).toBe(30);
  });
});

describe('flowOf', () => {
  it('tells what is waited for, hop by hop', () => {
    const board = new FleetBoard();
    const text = () => {
      const flow = flowOf(board, ['gate']);
      return flow.kind === 'waiting' ? flow.text : flow.kind;
    };
    expect(text()).toBe('Starting ingest, infer, sink');
    board.update(status('infer', 1, {}));
    board.update(status('sink', 1, {}));
    expect(text()).toBe('Starting ingest');
    board.update(status('ingest', 1, { state: StreamState.STREAM_STATE_CONNECTING }));
    expect(text()).toBe('Opening gate');
    board.update(status('ingest', 2, { state: StreamState.STREAM_STATE_RECONNECTING, reason: 'refused' }));
    expect(flowOf(board, ['gate'])).toEqual({
      kind: 'waiting',
      text: 'gate: trying again: refused',
      retrying: true,
    });
    board.update(status('ingest', 3, { ...PLAYING, framesIn: 5n }));
    expect(text()).toBe('Frames are decoded; waiting for the first result');
    board.update(status('sink', 3, { framesIn: 2n }));
    expect(text()).toBe('Waiting for the first encoded picture');
    board.update(status('sink', 4, { framesIn: 2n, framesOut: 1n }));
    expect(flowOf(board, ['gate'])).toEqual({ kind: 'flowing', all: true });
    expect(flowOf(board, ['gate', 'yard'])).toEqual({ kind: 'flowing', all: false });
  });

  it('gives up when every stream has failed', () => {
    const board = new FleetBoard();
    const failed = { state: StreamState.STREAM_STATE_FAILED, reason: 'clip.txt: not a video' };
    board.update(status('ingest', 1, failed));
    expect(flowOf(board, ['gate'])).toEqual({ kind: 'failed', reasons: ['gate: clip.txt: not a video'] });
    expect(isOver(board.rows(['gate']))).toBe(true);
    expect(isOver(board.rows(['gate', 'yard']))).toBe(false);
  });
});

describe('renderTable', () => {
  it('shows numbers under their headings, and a reason below its stream', () => {
    const board = flowing();
    board.update(status('ingest', 12, { state: StreamState.STREAM_STATE_RECONNECTING, reason: 'no frame for 10 s' }));
    const lines = renderTable(board, ['gate'], 61_000);
    expect(lines[0]).toMatch(/^stream +state +size +fps in +inferred +out +p50 +p99 +detections +drops$/);
    expect(lines[1]).toMatch(/^gate +reconnecting .* 38 ms +61 ms +person 30, dog 2 +skipped 3, late 2, stale 1$/);
    expect(lines[2]).toBe('  no frame for 10 s');
    expect(lines[3]).toContain('Running for 1:01.');
  });
});

describe('demoReport', () => {
  it('has exactly the promised fields', () => {
    const board = flowing();
    const from = status('sink', 10, { framesOut: 95n });
    const report = demoReport({
      board,
      streams: ['gate'],
      addresses: { rtsp: ['rtsp://127.0.0.1:8554/gate'], grpc: '127.0.0.1:50051', page: '' },
      measured: { from, to: board.service('sink')! },
      cleanExit: true,
    });
    expect(report).toEqual({
      streams: [
        {
          id: 'gate',
          width: 768,
          height: 576,
          frames_decoded: 120,
          frames_inferred: 60,
          frames_sent: 115,
          detections: 32,
          drops: { skipped: 4, late: 2, stale: 1 },
          fps: 10,
          latency_ms: { p50: 38.13, p99: 61 },
        },
      ],
      rtsp: ['rtsp://127.0.0.1:8554/gate'],
      grpc: '127.0.0.1:50051',
      cpu_seconds: { ingest: 3, infer: 3, sink: 3 },
      clean_exit: true,
    });
  });
});
