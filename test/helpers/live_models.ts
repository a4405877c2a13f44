import { onTestFinished } from 'vitest';
import { ModelClient } from '../../cli/model/model_client.js';
import { DesiredState } from '../../lib/desired_state.js';
import { decodeResult, encodeDesiredStream } from '../../lib/messages.js';
import { fromStreamSettings, toStreamSettings, type LiveField, type LiveSettings } from '../../lib/stream_settings.js';
import * as subjects from '../../lib/subjects.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { ModelState, type ServedModel } from '#proto/framebus/model/v1/served_model.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { StreamSettings } from '#proto/framebus/stream/v1/stream_settings.js';
import { eventually } from './eventually.js';
import { captureLog } from './log.js';
import { natsClient } from './nats.js';
import type { Pipeline } from './pipeline.js';
import { FIXED_BOXES, fixedBoxes, writeSmallModel, type SmallModelOptions } from './small_model.js';

/** Longest wait for what takes a moment on a machine that does nothing else. */
export const PATIENCE = { timeoutMs: 60_000 };

/** A model that finds one box in every picture: from a quarter to three quarters of it. */
export function writeBoxModel(folder: string, name: string, label: string, options: SmallModelOptions & { score?: number; threshold?: number } = {}): void {
  const { side = 64, score = 0.8, threshold = 0.25, ...rest } = options;
  const manifest = { ...FIXED_BOXES, thresholds: { default: threshold }, labels: { 0: label, 1: 'never' } };
  writeSmallModel(folder, name, manifest, (graph, images) => fixedBoxes(graph, images, [[side / 4, side / 4, (side * 3) / 4, (side * 3) / 4, score, 0]]), {
    resize: 'stretch',
    side,
    ...rest,
  });
}

/** A client of a worker's ModelService; closed with the test. */
export function modelClient(pipeline: Pipeline, instance = 'infer-0'): ModelClient {
  const address = pipeline.status('infer', instance)?.addresses['grpc'];
  if (address === undefined) throw new Error(`${instance} has no gRPC address`);
  const client = new ModelClient(address);
  onTestFinished(() => client.close());
  return client;
}

/** A served model as its worker's latest status has it. */
export const servedBy = (pipeline: Pipeline, name: string, instance = 'infer-0'): ServedModel | undefined =>
  pipeline.status('infer', instance)?.models.find((model) => model.name === name);

/** Waits until a worker says of a model what is expected. */
export function untilServed(pipeline: Pipeline, name: string, expected: (model: ServedModel) => boolean, instance = 'infer-0'): Promise<ServedModel> {
  return eventually(
    () => `${name} in ${instance} is ${JSON.stringify(servedBy(pipeline, name, instance))}\n${pipeline.output()}`,
    () => {
      const model = servedBy(pipeline, name, instance);
      return model !== undefined && expected(model) && model;
    },
    PATIENCE,
  );
}

export const isReady = ({ state }: ServedModel): boolean => state === ModelState.MODEL_STATE_READY;

/** Every result that workers send to sink, from now on. */
export async function collectResults(pipeline: Pipeline): Promise<ResultMessage[]> {
  const results: ResultMessage[] = [];
  const client = await natsClient(pipeline.nats.url, 'results');
  client.subscribe(subjects.ALL_RESULTS, { callback: (_error, message) => results.push(decodeResult(message.data)) });
  await client.flush();
  return results;
}

/** Results of a stream that a model has made, in the order of the frames. */
export function inferredOf(results: readonly ResultMessage[], streamId: string): ResultMessage[] {
  return results
    .filter(({ frame, status }) => frame?.streamId === streamId && status === InferenceStatus.INFERENCE_STATUS_INFERRED)
    .toSorted((a, b) => Number((a.frame?.seq ?? 0n) - (b.frame?.seq ?? 0n)));
}

/** What was changed while services run, as they find it on NATS; closed with the test. */
export async function desiredState(pipeline: Pipeline): Promise<DesiredState> {
  const state = await DesiredState.open(await natsClient(pipeline.nats.url, 'desired'), captureLog().log);
  onTestFinished(() => state.close());
  return state;
}

/** Stores settings of a stream as ingest does. */
export async function storeSettings(state: DesiredState, streamId: string, settings: Partial<LiveSettings>): Promise<void> {
  const names: Partial<Record<keyof LiveSettings, LiveField>> = { minConfidence: 'min_confidence' };
  const fields = (Object.keys(settings) as (keyof LiveSettings)[]).map((key) => names[key] ?? (key as LiveField));
  const all = toStreamSettings({ ...fromStreamSettings(StreamSettings.fromPartial({})), ...settings });
  await state.put(subjects.desiredStream(streamId), encodeDesiredStream({ fields, settings: all }), null);
}
