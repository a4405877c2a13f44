import { FramebusError } from '../../lib/errors.js';
import type { ModelManifest } from '../../models/manifest.js';

/** What a result and its record need beside the tensors: descriptor, times, names. */
const REST_BYTES = 16 * 1024;

/**
 * Refuses a model whose tensors may be larger than a message of NATS: it would be
 * loaded, and every result would be lost. @throws MODEL_INVALID
 *
 * @param maxPayloadBytes `max_payload` of nats-server
 */
export function checkRawLimit({ name, task, decoder }: ModelManifest, maxPayloadBytes: number): void {
  if (task !== 'raw' || (decoder.kind !== 'raw' && decoder.kind !== 'module')) return;
  const most = maxPayloadBytes - REST_BYTES;
  if (decoder.maxBytes <= most) return;
  throw new FramebusError(
    'MODEL_INVALID',
    `model ${name}: decoder.max_bytes is ${decoder.maxBytes}, NATS takes messages of ${maxPayloadBytes} bytes: ${most} of tensors`,
    { remedy: `Set decoder.max_bytes to at most ${most}, or raise max_payload of nats-server.` },
  );
}
