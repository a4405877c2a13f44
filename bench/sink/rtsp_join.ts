import { connect, type Socket } from 'node:net';
import { H264Join } from './h264_join.js';

const DEADLINE_MS = 20_000;
/** Begins an interleaved packet (RFC 2326, 10.12). */
const DOLLAR = 0x24;
const CHANNEL = 0;

interface Response {
  status: number;
  headers: Map<string, string>;
  body: string;
}

/** A player that joins over TCP, waits for its first picture, and leaves. */
class RtspJoin {
  readonly #url: string;
  readonly #socket: Socket;
  readonly #onPacket: (channel: number, packet: Buffer) => void;
  #buffer = Buffer.alloc(0);
  #number = 0;
  #answer: ((response: Response) => void) | null = null;

  constructor(url: string, onPacket: (channel: number, packet: Buffer) => void, onError: (error: Error) => void) {
    const { hostname, port } = new URL(url);
    this.#url = url;
    this.#onPacket = onPacket;
    this.#socket = connect(Number(port), hostname);
    this.#socket.on('data', (data) => {
      this.#buffer = Buffer.concat([this.#buffer, data]);
      while (this.#read());
    });
    this.#socket.on('error', onError);
    this.#socket.on('close', () => onError(new Error(`${url}: the server has closed the connection`)));
  }

  /** Asks for the video, and returns its description when `onDescribed` has been told of it and it plays. */
  async play(onDescribed: (sdp: string) => void): Promise<void> {
    const described = await this.#ask('DESCRIBE', this.#url, { Accept: 'application/sdp' });
    onDescribed(described.body);
    const base = described.headers.get('content-base') ?? `${this.#url}/`;
    const control = described.body.split('m=video')[1]?.match(/a=control:(\S+)/)?.[1] ?? '';
    const track = control.startsWith('rtsp://') ? control : new URL(control, base).href;
    const transport = `RTP/AVP/TCP;unicast;interleaved=${CHANNEL}-${CHANNEL + 1}`;
    const setUp = await this.#ask('SETUP', track, { Transport: transport });
    await this.#ask('PLAY', base, { Session: setUp.headers.get('session')?.split(';')[0] ?? '' });
  }

  leave(): void {
    this.#socket.removeAllListeners();
    this.#socket.on('error', () => undefined);
    this.#socket.destroy();
  }

  async #ask(method: string, url: string, headers: Record<string, string>): Promise<Response> {
    this.#number += 1;
    const lines = [`${method} ${url} RTSP/1.0`, `CSeq: ${this.#number}`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)];
    const answer = new Promise<Response>((resolve) => (this.#answer = resolve));
    this.#socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    const response = await answer;
    if (response.status !== 200) throw new Error(`${method} ${url}: status ${response.status}`);
    return response;
  }

  /** Takes a packet or a response from the buffer; false when none is whole. */
  #read(): boolean {
    if (this.#buffer[0] === DOLLAR) {
      if (this.#buffer.length < 4) return false;
      const end = 4 + this.#buffer.readUInt16BE(2);
      if (this.#buffer.length < end) return false;
      const packet = this.#buffer.subarray(4, end);
      const channel = this.#buffer.readUInt8(1);
      this.#buffer = this.#buffer.subarray(end);
      this.#onPacket(channel, packet);
      return true;
    }
    const head = this.#buffer.indexOf('\r\n\r\n');
    if (head < 0) return false;
    const [first = '', ...lines] = this.#buffer.subarray(0, head).toString().split('\r\n');
    const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
    const end = head + 4 + Number(headers.get('content-length') ?? 0);
    if (this.#buffer.length < end) return false;
    const body = this.#buffer.subarray(head + 4, end).toString();
    this.#buffer = this.#buffer.subarray(end);
    this.#answer?.({ status: Number(first.split(' ')[1]), headers, body });
    return true;
  }
}

/** Milliseconds from the connect to the last byte of the first picture that can be decoded. */
export async function joinMs(url: string): Promise<number> {
  const startMs = performance.now();
  let join: RtspJoin | null = null;
  let h264: H264Join | null = null;
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<number>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`${url}: no picture within ${DEADLINE_MS} ms`)), DEADLINE_MS);
      const onPacket = (channel: number, packet: Buffer): void => {
        if (channel === CHANNEL && h264?.take(packet) === true) resolve(performance.now() - startMs);
      };
      join = new RtspJoin(url, onPacket, reject);
      join.play((sdp) => (h264 = new H264Join(sdp))).catch(reject);
    });
  } finally {
    clearTimeout(timer);
    (join as RtspJoin | null)?.leave();
  }
}
