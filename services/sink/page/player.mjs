import { LiveEdge } from './live_edge.mjs';
import { concat, mimeType } from './mp4.mjs';

/** Seconds of the past that stay in the buffer. */
const KEEP_S = 8;
/** Silence after which the connection counts as dead. */
const SILENCE_MS = 6000;
const RETRY_MS = [300, 1000, 2000, 4000];
const STILL_MS = 1000;
/** A picture that does not change is asked for now and then: it may be one of before a restart. */
const LAST_MS = 10_000;
/** Attempts after which stills are shown until one succeeds. */
const STILLS_AFTER = 2;
/** Start of the stream in which the codec must be named. */
const MAX_HEADER_BYTES = 64 * 1024;

/** Whether this browser plays what the sink sends. */
const CAN_PLAY =
  'MediaSource' in globalThis && MediaSource.isTypeSupported('video/mp4; codecs="avc1.42c01e"');

/** The stream's codec is none that this browser has. */
class NotPlayable extends Error {}

/** Waits; ends early when aborted. */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const over = new AbortController();
    const end = () => {
      clearTimeout(timer);
      over.abort();
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { signal: over.signal });
  });
}

/** Waits for an event; fails with the target's error or when aborted. */
function once(target, type, signal) {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const listen = (from, event, act) => {
      const end = () => {
        over.abort();
        act();
      };
      from.addEventListener(event, end, { signal: over.signal });
    };
    listen(target, type, () => resolve());
    listen(target, 'error', () => reject(new Error(`no ${type}`)));
    listen(signal, 'abort', () => reject(signal.reason));
    if (signal.aborted) reject(signal.reason);
  });
}

/**
 * The live picture at an address, over a connection of its own.
 * @param {string} url
 * @returns {(signal: AbortSignal) => AsyncGenerator<Uint8Array>}
 */
export function fetchFeed(url) {
  return async function* parts(signal) {
    const response = await fetch(url, { signal, cache: 'no-store' });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  };
}

/**
 * Plays one picture: live video where the browser can, else stills that are
 * fetched again and again. Comes back by itself after every break.
 */
export class Player {
  #video;
  #still;
  #stills;
  #onPicture;
  #onNote;
  /** @type {{feed: (signal: AbortSignal) => AsyncGenerator<Uint8Array>, stillUrl: string}} */
  #from;
  #mode = 'off';
  #abort = new AbortController();
  #endStills = () => {};

  /**
   * @param {{feed: (signal: AbortSignal) => AsyncGenerator<Uint8Array>, stillUrl: string}} from
   * @param {HTMLVideoElement} video
   * @param {HTMLImageElement} still
   * @param {import('./still_queue.mjs').StillQueue} stills
   * @param {{picture: (shown: boolean) => void, note: (text: string) => void}} on
   */
  constructor(from, video, still, stills, on) {
    this.#from = from;
    this.#video = video;
    this.#still = still;
    this.#stills = stills;
    this.#onPicture = on.picture;
    this.#onNote = on.note;
  }

  /** Plays something else from now on. */
  change(from) {
    const mode = this.#mode;
    this.set('off');
    this.#from = from;
    this.#onPicture(false);
    this.#onNote('');
    this.set(mode);
  }

  /** @param {'live' | 'stills' | 'last' | 'off'} mode last: the picture does not change any more */
  set(mode) {
    const wanted = mode === 'live' && !CAN_PLAY ? 'stills' : mode;
    if (wanted === this.#mode) return;
    this.#mode = wanted;
    this.#abort.abort();
    this.#endStills();
    this.#abort = new AbortController();
    if (wanted === 'live') void this.#keepPlaying(this.#abort.signal);
    if (wanted === 'stills') this.#fetchStills(STILL_MS);
    if (wanted === 'last') this.#fetchStills(LAST_MS);
  }

  async #keepPlaying(signal) {
    for (let attempt = 0; !signal.aborted; attempt++) {
      const startedMs = performance.now();
      try {
        await this.#play(signal);
      } catch (error) {
        if (signal.aborted) return;
        console.debug(`${this.#from.stillUrl}: ${error}`);
        if (error instanceof NotPlayable) {
          this.#onNote(error.message);
          this.#fetchStills(STILL_MS);
          return;
        }
      }
      if (signal.aborted) return;
      if (performance.now() - startedMs > 5000) attempt = 0;
      // Too many viewers, or a muxer that fails: better one picture a second than none.
      if (attempt === STILLS_AFTER) this.#fetchStills(STILL_MS);
      await pause(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)], signal);
    }
  }

  /** One connection, until it ends. */
  async #play(signal) {
    const connection = new AbortController();
    const stop = () => connection.abort();
    signal.addEventListener('abort', stop, { once: true });
    let watchdog = setTimeout(stop, SILENCE_MS);
    const edge = new LiveEdge();
    const follow = setInterval(() => edge.keep(this.#video, performance.now()), 100);
    const parts = this.#from.feed(connection.signal);
    let url = '';
    try {
      const header = await readHeader(parts);
      if (!MediaSource.isTypeSupported(header.type)) {
        throw new NotPlayable('This browser does not play H.265: one picture a second. Browsers need sink.encode.codec: h264.');
      }
      const source = new MediaSource();
      url = URL.createObjectURL(source);
      this.#video.src = url;
      await once(source, 'sourceopen', connection.signal);
      const buffer = source.addSourceBuffer(header.type);
      await append(buffer, header.bytes, connection.signal);
      this.#showVideo(connection.signal);
      for await (const bytes of parts) {
        clearTimeout(watchdog);
        watchdog = setTimeout(stop, SILENCE_MS);
        await append(buffer, bytes, connection.signal);
        await this.#forgetPast(buffer, connection.signal);
        // Not awaited: it plays only when more has been read.
        if (this.#video.paused) this.#video.play().catch(() => {});
      }
    } finally {
      signal.removeEventListener('abort', stop);
      clearTimeout(watchdog);
      clearInterval(follow);
      connection.abort();
      if (url !== '') URL.revokeObjectURL(url);
      // A feed that fails while it ends has nothing new to say.
      await parts.return().catch(() => {});
    }
  }

  async #forgetPast(buffer, signal) {
    const until = this.#video.currentTime - KEEP_S;
    if (buffer.buffered.length === 0 || buffer.buffered.start(0) > until - KEEP_S) return;
    buffer.remove(0, until);
    await once(buffer, 'updateend', signal);
  }

  #fetchStills(everyMs) {
    this.#endStills();
    this.#endStills = this.#stills.add(this.#from.stillUrl, everyMs, (picture) => void this.#showStill(picture));
  }

  async #showStill(picture) {
    const before = this.#still.src;
    this.#still.src = URL.createObjectURL(picture);
    await this.#still.decode().catch(() => {});
    if (before.startsWith('blob:')) URL.revokeObjectURL(before);
    this.#show(this.#still);
  }

  /** As soon as it has a picture. */
  #showVideo(signal) {
    const shown = () => {
      this.#endStills();
      this.#show(this.#video);
    };
    if (this.#video.readyState < 2) this.#video.addEventListener('loadeddata', shown, { once: true, signal });
    else shown();
  }

  #show(element) {
    this.#video.hidden = element !== this.#video;
    this.#still.hidden = element !== this.#still;
    this.#onPicture(true);
  }
}

/** Reads until the codec is known. */
async function readHeader(parts) {
  const chunks = [];
  for (;;) {
    const { done, value } = await parts.next();
    if (done) throw new Error('ended before its first picture');
    chunks.push(value);
    const bytes = concat(chunks);
    const type = mimeType(bytes);
    if (type) return { type, bytes };
    if (bytes.length > MAX_HEADER_BYTES) throw new Error('no H.264 or H.265 in it');
  }
}

async function append(buffer, bytes, signal) {
  buffer.appendBuffer(bytes);
  await once(buffer, 'updateend', signal);
}
