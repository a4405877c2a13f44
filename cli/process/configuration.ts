import { stringify } from 'yaml';

const ENDPOINT = { host: '127.0.0.1', port: 0 };
/** Frames of the file that may be under way at once, and those of them that workers may have. */
const SLOTS = 24;
/** A file has no end of its age, and disk space is looked after by whoever gave the command. */
const ONE_SEGMENT = { segment: '24h', max_size: 0, keep: 0, sidecar: true };

/** What differs from one file to the next. */
export interface ProcessConfiguration {
  natsUrl: string;
  busDirectory: string;
  /** Folder of the recorded pictures. */
  recordings: string;
  /** Folder of the model's manifest, and its name there; null: nothing is detected. */
  model: { directory: string; name: string } | null;
  stream: string;
  /** URI of the file. */
  source: string;
  codec: 'h264' | 'h265';
  /** 0 to 51, less is better. */
  quality: number;
  draw: boolean;
  interval: number;
}

/** The configuration file of the services that work through one file. */
export function processConfiguration(wanted: ProcessConfiguration): string {
  const { model, stream, source, codec, quality, draw, interval } = wanted;
  return stringify({
    // One object a line: failures of the recording are read from it.
    log: { level: 'warn', format: 'json' },
    bus: { directory: wanted.busDirectory },
    nats: { url: wanted.natsUrl },
    ingest: { http: ENDPOINT, grpc: ENDPOINT },
    infer: { http: ENDPOINT, grpc: ENDPOINT },
    sink: {
      http: ENDPOINT,
      grpc: ENDPOINT,
      rtsp: ENDPOINT,
      encode: { codec, rate_control: 'quality', quality },
      records: { max_bytes: 0 },
      recordings: { root: wanted.recordings, min_free: 0 },
    },
    ...(model === null ? {} : { models: { directory: model.directory } }),
    defaults: { model: model?.name ?? null },
    streams: {
      [stream]: {
        source,
        mode: 'lossless',
        pace: 'fast',
        slots: SLOTS,
        interval,
        osd: { objects: draw },
        record: { enabled: true, folder: '{stream}', ...ONE_SEGMENT },
      },
    },
  });
}
