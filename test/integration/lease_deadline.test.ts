import { describe, expect, it } from 'vitest';
import { decodeResult } from '../../lib/messages.js';
import * as subjects from '../../lib/subjects.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { addHeavyModel } from '../helpers/heavy_model.js';
import { natsClient } from '../helpers/nats.js';
import { Pipeline } from '../helpers/pipeline.js';
import { tempFolder } from '../helpers/temp.js';

const REASON = /^its lease of 1500 ms would have ended before the model was done; it has waited for \d+ ms$/;

describe('a model that takes long, and leases that end soon', () => {
  it('frames that would not be done in time go on un-inferred, with their reason, and the worker keeps its leases', async () => {
    const models = tempFolder();
    // Two frames take half of a lease; those that come meanwhile would take more than one.
    await addHeavyModel(models, 'heavy', 400);
    const pipeline = await Pipeline.create({
      bus: { lease_deadline: '1500ms' },
      models: { directory: models },
      // More than there are streams: what is asked for and does not come at once comes while the batch runs.
      infer: { threads: 1, executors: 1, batch: { size: 4 } },
      defaults: { model: 'heavy' },
      streams: { gate: { source: SAMPLE_CLIP, loop: true }, yard: { source: SAMPLE_CLIP, loop: true } },
    });
    const results: ResultMessage[] = [];
    const client = await natsClient(pipeline.nats.url, 'results');
    client.subscribe(subjects.ALL_RESULTS, { callback: (_error, message) => results.push(decodeResult(message.data)) });
    await client.flush();
    await pipeline.runAll();

    const expired = (): ResultMessage[] => results.filter(({ reason }) => REASON.test(reason));
    const inferred = (): number => results.filter(({ status }) => status === InferenceStatus.INFERENCE_STATUS_INFERRED).length;
    await eventually(
      () => `3 frames given up and 5 inferred; there are ${expired().length} and ${inferred()}\n${pipeline.output()}`,
      () => expired().length >= 3 && inferred() >= 5,
      { timeoutMs: 100_000 },
    );
    expect(new Set(expired().map(({ status }) => status))).toEqual(new Set([InferenceStatus.INFERENCE_STATUS_EXPIRED]));
    pipeline.process('ingest-0').kill('SIGTERM');
    await pipeline.process('ingest-0').exitCode();
    // Counted by their reason, in the worker and in sink.
    const counted = (service: 'infer' | 'sink'): number =>
      ['gate', 'yard'].reduce((sum, id) => sum + Number(pipeline.stream(service, id)?.drops['expired'] ?? 0n), 0);
    await eventually(
      () => `${expired().length} counted as expired; infer has ${counted('infer')}`,
      () => counted('infer') === expired().length && counted('sink') >= expired().length,
    );
  }, 200_000);
});
