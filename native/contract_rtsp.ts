/** The RTSP server of the addon; its rules are those of contract.ts. */
import type { Output } from './contract.js';

export interface RtspServerOptions {
  host: string;
  /** 0 takes a free one. */
  port: number;
  maxClients: number;
  /** What players may choose from; at least one. */
  transports: readonly RtspTransport[];
  /** A player that is not heard of for so long is dropped; whole seconds. */
  sessionTimeoutMs: number;
  /** Without any, everybody may watch everything. Basic and Digest. */
  users: readonly RtspUser[];
  /** Null: no TLS. Otherwise TLS alone, as rtsps://. */
  tls: { certificatePem: string; keyPem: string } | null;
}

export type RtspTransport = 'tcp' | 'udp';

export interface RtspUser {
  name: string;
  password: string;
  /** Paths, each with all that is below it; "*" is all. */
  mounts: readonly string[];
}

/** `peer` is an IP address, `path` what the player asked for. */
export type RtspServerEvent =
  /** Disconnected. slow: over TCP, did not take what it was sent; silent: nothing heard of it. */
  | { type: 'dropped'; peer: string; path: string; reason: 'slow' | 'silent' }
  /** Wrong credentials, or those of a user without the path. */
  | { type: 'denied'; peer: string; path: string };

export interface RtspServer {
  readonly port: number;
  /**
   * Serves an output at rtsp://host:port/<path>, or rtsps://. Before its first keyframe, DESCRIBE is
   * answered with 503 at once. Throws RTSP_MOUNT.
   */
  mount(path: string, output: Output): void;
  /** Disconnects the path's clients. */
  unmount(path: string): void;
  clients(): number;
  close(): Promise<void>;
}
