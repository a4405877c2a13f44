import { ModelState, type ServedModel } from '#proto/framebus/model/v1/served_model.js';
import { table } from '../status/table.js';

const STATES: Readonly<Record<ModelState, string>> = {
  [ModelState.MODEL_STATE_UNSPECIFIED]: 'unknown',
  [ModelState.MODEL_STATE_LOADING]: 'loading',
  [ModelState.MODEL_STATE_READY]: 'ready',
  [ModelState.MODEL_STATE_FAILED]: 'failed',
  [ModelState.MODEL_STATE_UNLOADING]: 'unloading',
};

/** A worker's models for people, what is wrong with them below. */
export function servedTable(models: readonly ServedModel[]): string {
  if (models.length === 0) return 'no models';
  const head = ['name', 'state', 'manifest', 'generation', 'batch', 'streams', 'engine'];
  const rows = models.map((model) => [
    model.name,
    stateText(model),
    model.manifest === model.name ? 'its own' : model.manifest,
    String(model.generation),
    model.maxBatch === 0 ? '–' : String(model.maxBatch),
    streamsText(model),
    model.engine === '' ? '–' : model.engine,
  ]);
  const reasons = models.filter(({ reason }) => reason !== '').map(({ name, reason }) => `${name}: ${reason}`);
  return [table([head, ...rows], new Set([3, 4])), ...reasons].join('\n');
}

/** How far a change of a model is. */
export function stateText({ state, loading }: ServedModel): string {
  return loading === '' ? STATES[state] : `${STATES[state]}, loading ${loading}`;
}

function streamsText({ streamIds, pinned }: ServedModel): string {
  const kept = pinned ? ['(kept)'] : [];
  const parts = [...streamIds, ...kept];
  return parts.length === 0 ? '–' : parts.join(' ');
}

/** One model that serves, in a line. */
export function servedLine({ name, manifest, generation, engine, maxBatch }: ServedModel): string {
  const own = manifest === name ? '' : `${manifest}, `;
  return `${name}: ready: ${own}generation ${generation}, ${engine}, batch ${maxBatch}`;
}
