import { LiveEdge } from './live_edge.mjs';
import { concat, mimeType } from './mp4.mjs';

/** Seconds of the past that stay in the buffer. */
const KEEP_S = 8;
/** Silence after which the connection counts as dead. */
const SILENCE_MS = 6000;
const RETRY_MS = [300, 1000, 2000, 4000];
const STILL_MS = 1000;
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
 * Plays one stream: live video where the browser can, else a picture that is
 * fetched again and again. Comes back by itself after every break.
 */
export class Player {
  #video;
  #still;
  #base;
  #onPicture;
  #mode = 'off';
  #abort = new AbortController();

  /**
   * @param {string} id of the stream
   * @param {HTMLVideoElement} video
   * @param {HTMLImageElement} still
   * @param {(shown: boolean) => void} onPicture
   */
  constructor(id, video, still, onPicture) {
    this.#video = video;
    this.#still = still;
    this.#base = `streams/${encodeURIComponent(id)}`;
    this.#onPicture = onPicture;
  }

  /** @param {'live' | 'stills' | 'off'} mode */
  set(mode) {
    const wanted = mode === 'live' && !CAN_PLAY ? 'stills' : mode;
    if (wanted === this.#mode) return;
    this.#mode = wanted;
    this.#abort.abort();
    this.#abort = new AbortController();
    if (wanted === 'live') void this.#keepPlaying(this.#abort.signal);
    if (wanted === 'stills') void this.#keepFetching(this.#abort.signal);
  }

  async #keepPlaying(signal) {
    for (let attempt = 0; !signal.aborted; attempt++) {
      const startedMs = performance.now();
      try {
        await this.#play(signal);
      } catch (error) {
        if (!signal.aborted) console.debug(`${this.#base}: ${error}`);
        if (error instanceof NotPlayable) {
          this.#still.title = error.message;
          return this.#keepFetching(signal);
        }
      }
      if (signal.aborted) return;
      if (performance.now() - startedMs > 5000) attempt = 0;
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
    let url = '';
    try {
      const response = await fetch(`${this.#base}/live.mp4`, { signal: connection.signal, cache: 'no-store' });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const reader = response.body.getReader();
      const header = await readHeader(reader);
      if (!MediaSource.isTypeSupported(header.type)) {
        throw new NotPlayable('This browser does not play H.265: one picture a second. Browsers need sink.encode.codec: h264.');
      }
      const source = new MediaSource();
      url = URL.createObjectURL(source);
      this.#video.src = url;
      await once(source, 'sourceopen', connection.signal);
      const buffer = source.addSourceBuffer(header.type);
      await append(buffer, header.bytes, connection.signal);
      this.#show(this.#video);
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(watchdog);
        watchdog = setTimeout(stop, SILENCE_MS);
        await append(buffer, value, connection.signal);
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
    }
  }

  async #forgetPast(buffer, signal) {
    const until = this.#video.currentTime - KEEP_S;
    if (buffer.buffered.length === 0 || buffer.buffered.start(0) > until - KEEP_S) return;
    buffer.remove(0, until);
    await once(buffer, 'updateend', signal);
  }

  async #keepFetching(signal) {
    while (!signal.aborted) {
      try {
        const response = await fetch(`${this.#base}/snapshot.jpg`, { signal, cache: 'no-store' });
        if (response.ok) {
          const url = URL.createObjectURL(await response.blob());
          const before = this.#still.src;
          this.#still.src = url;
          await this.#still.decode().catch(() => {});
          if (before.startsWith('blob:')) URL.revokeObjectURL(before);
          this.#show(this.#still);
        }
      } catch {
        // Tried again below; the badge says how the stream is.
      }
      await pause(STILL_MS, signal);
    }
  }

  #show(element) {
    const shown = () => {
      this.#video.hidden = element !== this.#video;
      this.#still.hidden = element !== this.#still;
      this.#onPicture(true);
    };
    if (element === this.#video && this.#video.readyState < 2) {
      this.#video.addEventListener('loadeddata', shown, { once: true });
    } else {
      shown();
    }
  }
}

/** Reads until the codec is known. */
async function readHeader(reader) {
  const chunks = [];
  for (;;) {
    const { done, value } = await reader.read();
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
