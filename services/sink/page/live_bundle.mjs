import { concat } from './mp4.mjs';

/** Changes are told together. */
const GATHER_MS = 30;
/** A connection without pictures is kept so long. */
const IDLE_MS = 3000;
const PATIENCE_MS = 5000;
/** Of one picture, waiting for its player: then the player is too slow, and starts again. */
const MAX_WAITING_BYTES = 16 * 2 ** 20;
const HEAD_BYTES = 8;

/** Takes a bundle apart: what comes, in pieces of any size, into parts of channels. */
export class BundleReader {
  /** @type {Uint8Array[]} */
  #pieces = [];
  #length = 0;

  /**
   * @param {Uint8Array} piece
   * @returns {{channel: number, data: Uint8Array}[]} the parts that are whole now
   */
  push(piece) {
    this.#pieces.push(piece);
    this.#length += piece.length;
    const parts = [];
    while (this.#length >= HEAD_BYTES) {
      const bytes = this.#whole();
      const head = new DataView(bytes.buffer, bytes.byteOffset, HEAD_BYTES);
      const end = HEAD_BYTES + head.getUint32(4);
      if (bytes.length < end) break;
      parts.push({ channel: head.getUint32(0), data: bytes.slice(HEAD_BYTES, end) });
      this.#pieces = [bytes.subarray(end)];
      this.#length = bytes.length - end;
    }
    return parts;
  }

  #whole() {
    if (this.#pieces.length > 1) this.#pieces = [concat(this.#pieces)];
    return this.#pieces[0];
  }
}

/** One picture of a bundle, on its way to its player. */
class Channel {
  stream;
  #waiting = [];
  #bytes = 0;
  #ended = false;
  #wake = () => {};

  constructor(stream) {
    this.stream = stream;
  }

  push(data) {
    this.#waiting.push(data);
    this.#bytes += data.length;
    if (this.#bytes > MAX_WAITING_BYTES) this.#ended = true;
    this.#wake();
  }

  end() {
    this.#ended = true;
    this.#wake();
  }

  /** The next parts, put together; null at the end. */
  async next() {
    while (this.#waiting.length === 0 && !this.#ended) {
      await new Promise((resolve) => (this.#wake = resolve));
    }
    if (this.#ended) return null;
    const parts = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    return concat(parts);
  }
}

/** Live pictures of many streams over one connection, because a browser has six for a server. */
export class LiveBundle {
  /** @type {Map<number, Channel>} */
  #channels = new Map();
  #next = 1;
  /** @type {AbortController | null} */
  #connection = null;
  /** What sink calls the connection; empty until it has said so. */
  #name = '';
  #gathering = 0;
  #idle = 0;
  #telling = false;
  #changed = false;

  /**
   * A stream's live picture. Ends when it ends there, or the connection does.
   * @param {string} stream
   * @returns {(signal: AbortSignal) => AsyncGenerator<Uint8Array>}
   */
  feed(stream) {
    return (signal) => this.#parts(stream, signal);
  }

  async *#parts(stream, signal) {
    const number = this.#next++;
    const channel = new Channel(stream);
    const end = () => channel.end();
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    this.#channels.set(number, channel);
    this.#change();
    try {
      for (let data = await channel.next(); data !== null; data = await channel.next()) yield data;
    } finally {
      signal.removeEventListener('abort', end);
      this.#channels.delete(number);
      this.#change();
    }
  }

  #change() {
    this.#changed = true;
    clearTimeout(this.#idle);
    clearTimeout(this.#gathering);
    this.#gathering = setTimeout(() => {
      if (this.#connection !== null) void this.#tell();
      else if (this.#channels.size > 0) void this.#read();
    }, GATHER_MS);
    if (this.#channels.size === 0) this.#idle = setTimeout(() => this.#connection?.abort(), IDLE_MS);
  }

  async #read() {
    const connection = new AbortController();
    this.#connection = connection;
    try {
      const response = await fetch('api/bundles', { signal: connection.signal, cache: 'no-store' });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const reader = response.body.getReader();
      const bundle = new BundleReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        for (const part of bundle.push(value)) this.#take(part);
      }
    } catch (error) {
      if (!connection.signal.aborted) console.debug(`live pictures: ${error}`);
    } finally {
      connection.abort();
      this.#connection = null;
      this.#name = '';
      // Their players come back, each by itself.
      for (const channel of this.#channels.values()) channel.end();
    }
  }

  #take({ channel, data }) {
    if (channel === 0) {
      this.#name = new TextDecoder().decode(data);
      this.#changed = true;
      void this.#tell();
    } else if (data.length === 0) {
      this.#channels.get(channel)?.end();
    } else {
      this.#channels.get(channel)?.push(data);
    }
  }

  /** Tells sink which channels there are to be, as often as that has changed. */
  async #tell() {
    if (this.#telling || this.#name === '') return;
    this.#telling = true;
    const connection = this.#connection;
    try {
      while (this.#changed && this.#name !== '') {
        this.#changed = false;
        const query = new URLSearchParams([...this.#channels].map(([number, { stream }]) => ['channel', `${number}:${stream}`]));
        const response = await fetch(`api/bundles/${this.#name}?${query}`, { method: 'POST', signal: AbortSignal.timeout(PATIENCE_MS) });
        if (!response.ok) throw new Error(`HTTP ${response.status}`);
      }
    } catch {
      this.#changed = true;
      connection?.abort();
    } finally {
      this.#telling = false;
    }
  }
}
