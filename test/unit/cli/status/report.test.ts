import { expect, test } from 'vitest';
import { ServiceState, ServiceStatus, StreamState } from '#proto/framebus/status/v1/status.js';
import { statusReport } from '../../../../cli/status/report.js';
import { table } from '../../../../cli/status/table.js';

test('columns are as wide as their widest cell', () => {
  expect(table([['a', '1'], ['longer', '100'], ['b']], new Set([1]))).toBe('a         1\nlonger  100\nb');
  expect(table([])).toBe('');
});

test('services, their streams, and why a stream is as it is', () => {
  const text = statusReport([
    ServiceStatus.fromPartial({
      service: 'ingest',
      instance: 'ingest-0',
      state: ServiceState.SERVICE_STATE_RUNNING,
      cpuSeconds: 12.34,
      residentBytes: 104_857_600n,
      addresses: { http: 'http://127.0.0.1:9101' },
      streams: [
        {
          streamId: 'gate',
          state: StreamState.STREAM_STATE_RECONNECTING,
          reason: 'camera is gone',
          width: 768,
          height: 576,
          framesIn: 100n,
          framesOut: 98n,
          drops: { skipped: 2n, late: 0n },
          latency: { p50Ms: 12.3, p99Ms: 0 },
        },
      ],
    }),
  ]);
  expect(text).toBe(
    [
      'service          state       CPU   memory  addresses',
      'ingest ingest-0  running  12.3 s  100 MiB  http://127.0.0.1:9101',
      '',
      'stream  in        state         size     frames in  inferred  out    p50  p99  drops',
      'gate    ingest-0  reconnecting  768×576        100         0   98  12 ms    –  skipped 2',
      '',
      'gate: camera is gone',
    ].join('\n'),
  );
});
