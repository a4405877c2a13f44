import { ModelState, type ServedModel } from '#proto/framebus/model/v1/served_model.js';
import { ServiceState, type ServiceStatus } from '#proto/framebus/status/v1/status.js';

/** What the workers have made of a stream's wish for a model. */
export type ModelVerdict =
  /** A worker looks at frames with it. */
  | { kind: 'ready' }
  /** None yet; `why` says how each of them stands. */
  | { kind: 'waiting'; why: string }
  /** All have tried; `reason` says what each of them says. */
  | { kind: 'failed'; reason: string };

interface Worker {
  atMs: number;
  models: readonly ServedModel[];
}

/** A worker publishes its status once a second; one that has said nothing for so long is gone. */
const ALIVE_MS = 5_000;

/** What the workers say of their models. */
export class WorkerModels {
  readonly #workers = new Map<string, Worker>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  hear({ service, instance, state, models }: ServiceStatus): void {
    if (service !== 'infer') return;
    if (state > ServiceState.SERVICE_STATE_RUNNING) this.#workers.delete(instance);
    else this.#workers.set(instance, { atMs: this.#nowMs(), models });
  }

  /**
   * How a model stands that a stream has asked for. Only what workers have said since
   * counts, and only of a model that they know the stream to ask for: what they said
   * before may be of an earlier try.
   *
   * @param sinceMs when the stream asked
   */
  verdict(model: string, streamId: string, sinceMs: number): ModelVerdict {
    const oldestMs = this.#nowMs() - ALIVE_MS;
    const workers = [...this.#workers].filter(([, { atMs }]) => atMs >= oldestMs);
    if (workers.length === 0) return { kind: 'waiting', why: 'no worker is running' };
    const said = workers.map(([name, { atMs, models }]) => {
      const found = atMs < sinceMs ? undefined : models.find((m) => m.name === model && m.streamIds.includes(streamId));
      return { name, found };
    });
    if (said.some(({ found }) => found?.state === ModelState.MODEL_STATE_READY)) return { kind: 'ready' };
    if (said.every(({ found }) => found?.state === ModelState.MODEL_STATE_FAILED)) {
      return { kind: 'failed', reason: said.map(({ name, found }) => `${name}: ${found?.reason ?? ''}`).join('; ') };
    }
    return { kind: 'waiting', why: said.map(({ name, found }) => `${name} ${stateWords(found)}`).join(', ') };
  }
}

function stateWords(model: ServedModel | undefined): string {
  switch (model?.state) {
    case ModelState.MODEL_STATE_LOADING:
      return 'is loading it';
    case ModelState.MODEL_STATE_FAILED:
      return 'could not load it';
    case ModelState.MODEL_STATE_UNLOADING:
      return 'is letting it go';
    default:
      return 'has not taken it up';
  }
}
