import { onTestFinished } from 'vitest';
import { encodeStatus } from '../../lib/messages.js';
import type { NatsConnection } from '../../lib/nats.js';
import * as subjects from '../../lib/subjects.js';
import { ServiceState, ServiceStatus, StreamState } from '#proto/framebus/status/v1/status.js';

/** Says how a stream is, once a second, as its ingest does. */
export function tellState(nats: NatsConnection, streamId: string) {
  let said = { state: StreamState.STREAM_STATE_PLAYING, reason: '', drops: {} as Record<string, bigint> };
  const startedMs = Date.now();
  const tell = (): void => {
    const status = ServiceStatus.fromPartial({
      service: 'ingest',
      instance: 'ingest-0',
      state: ServiceState.SERVICE_STATE_RUNNING,
      unixNs: BigInt(Date.now()) * 1_000_000n,
      streams: [{ streamId, ...said, width: 320, height: 240, framesIn: BigInt(Math.floor((Date.now() - startedMs) / 40)) }],
    });
    nats.publish(subjects.status('ingest', 'ingest-0'), encodeStatus(status));
  };
  const timer = setInterval(tell, 1000);
  onTestFinished(() => {
    clearInterval(timer);
  });
  tell();
  return {
    set: (state: StreamState, reason = '', drops: Record<string, bigint> = {}): void => {
      said = { state, reason, drops };
      tell();
    },
  };
}
