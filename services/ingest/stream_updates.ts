import type { DesiredEntry, DesiredState } from '../../lib/desired_state.js';
import { codeOf, FramebusError } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import { decodeDesiredModel, encodeDesiredStream } from '../../lib/messages.js';
import {
  configuredSettings,
  differingFields,
  isLiveField,
  LIVE_FIELDS,
  readStreamChange,
  toStreamSettings,
  type StreamChange,
} from '../../lib/stream_settings.js';
import { desiredModel, desiredStream } from '../../lib/subjects.js';
import { findManifest } from '../../models/find.js';
import type { ModelManifest } from '../../models/manifest.js';
import type { StreamInfo, UpdateRequest } from '#proto/framebus/stream/v1/stream_service.js';
import type { LiveStream, LiveStreams } from './live_streams.js';
import { checkedSettings } from './setting_check.js';

export interface StreamUpdatesParts {
  state: Pick<DesiredState, 'get' | 'put' | 'delete'>;
  streams: LiveStreams;
  /** Folder of the manifests. */
  modelsDirectory: string;
  log: Log;
}

/** A worker may have to fetch the model first. */
const MODEL_DEADLINE_MS = 60_000;
const PUT_BACK_DEADLINE_MS = 2_000;

/** Changes what is wanted of streams, and waits until it holds. */
export class StreamUpdates {
  readonly #parts: StreamUpdatesParts;
  /** By stream: one change after the other. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(parts: StreamUpdatesParts) {
    this.#parts = parts;
  }

  /** Throws STREAM_NOT_FOUND. */
  get(streamId: string): StreamInfo {
    return streamInfo(this.#parts.streams.require(streamId));
  }

  list(): StreamInfo[] {
    return this.#parts.streams.all().map(streamInfo);
  }

  /**
   * Changes some settings. Throws STREAM_NOT_FOUND, MODEL_NOT_FOUND, OPTION_INVALID, STATE_CONFLICT;
   * and MODEL_UNLOADABLE, DEADLINE, after which all is as before.
   */
  update({ streamId, settings, updateMask, revision }: UpdateRequest): Promise<StreamInfo> {
    return this.#inTurn(streamId, async ({ config }) => {
      const { entry, change } = await this.#wanted(streamId, revision);
      const asked = { settings, fields: updateMask ?? [] };
      const { fields, settings: next } = await checkedSettings(config, change.settings, asked, (name) => this.#manifest(name));
      const before = change.desired?.fields.filter(isLiveField) ?? [];
      const all = LIVE_FIELDS.filter((field) => before.includes(field) || fields.includes(field));
      const isSame = all.length === before.length && differingFields(next, change.settings).length === 0;
      const value = encodeDesiredStream({ fields: all, settings: toStreamSettings(next) });
      await this.#make(entry, streamId, isSame ? entry.value : value);
      return this.get(streamId);
    });
  }

  /** Takes back what was changed. Throws STREAM_NOT_FOUND, STATE_CONFLICT, MODEL_UNLOADABLE, DEADLINE. */
  reset(streamId: string): Promise<StreamInfo> {
    return this.#inTurn(streamId, async () => {
      const { entry } = await this.#wanted(streamId, 0n);
      await this.#make(entry, streamId, null);
      return this.get(streamId);
    });
  }

  /** Waits for the changes that have begun. */
  async close(): Promise<void> {
    await Promise.all(this.#turns.values());
  }

  /** What is stored now. Throws STATE_CONFLICT when it is not what the caller has seen. */
  async #wanted(streamId: string, seen: bigint): Promise<{ entry: DesiredEntry; change: StreamChange }> {
    const { state, streams, log } = this.#parts;
    const entry = await state.get(desiredStream(streamId));
    if (seen !== 0n && seen !== BigInt(entry.revision)) {
      throw new FramebusError(
        'STATE_CONFLICT',
        `stream "${streamId}": is at revision ${entry.revision}, the change is meant for ${seen}: somebody else has changed it`,
      );
    }
    return { entry, change: readStreamChange(streams.require(streamId).config, entry, log) };
  }

  /** Stores the value and waits until it holds; else the one before is stored again. */
  async #make({ key, value: before, revision: seen }: DesiredEntry, streamId: string, value: Uint8Array | null): Promise<void> {
    const revision = value === before ? seen : await this.#store(key, value, seen);
    try {
      await this.#parts.streams.holds(streamId, revision, MODEL_DEADLINE_MS);
    } catch (error) {
      if (revision !== seen) await this.#putBack(key, before, revision, streamId);
      throw error;
    }
  }

  /** Puts or deletes. Resolves to the new revision. */
  async #store(key: string, value: Uint8Array | null, seen: number): Promise<number> {
    const { state } = this.#parts;
    if (value !== null) return state.put(key, value, seen);
    await state.delete(key, seen);
    return (await state.get(key)).revision;
  }

  async #putBack(key: string, value: Uint8Array | null, seen: number, streamId: string): Promise<void> {
    const { log, streams } = this.#parts;
    try {
      await streams.holds(streamId, await this.#store(key, value, seen), PUT_BACK_DEADLINE_MS);
    } catch (error) {
      // Whoever has changed it since says what the stream shall be.
      const code = codeOf(error);
      if (code === 'STATE_CONFLICT' || code === 'SHUTTING_DOWN') return;
      log.warn({ stream: streamId, err: error }, 'a change that failed could not be taken back');
    }
  }

  /** Manifest that serves a name. Throws MODEL_NOT_FOUND, MODEL_INVALID. */
  async #manifest(name: string): Promise<ModelManifest> {
    const { value } = await this.#parts.state.get(desiredModel(name));
    const manifest = value === null ? '' : decodeDesiredModel(value).manifest;
    return findManifest(manifest === '' ? name : manifest, this.#parts.modelsDirectory);
  }

  async #inTurn(streamId: string, change: (stream: LiveStream) => Promise<StreamInfo>): Promise<StreamInfo> {
    const stream = this.#parts.streams.require(streamId);
    const turn = (this.#turns.get(streamId) ?? Promise.resolve()).then(() => change(stream));
    this.#turns.set(
      streamId,
      turn.catch(() => undefined),
    );
    return turn;
  }
}

/** What holds for a stream, as clients see it. */
function streamInfo({ config, settings, wanted }: LiveStream): StreamInfo {
  return {
    streamId: config.id,
    settings: toStreamSettings(settings),
    changed: differingFields(settings, configuredSettings(config)),
    revision: BigInt(wanted.revision),
  };
}
