import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { onTestFinished } from 'vitest';
import { describeFrame } from '../../services/ingest/descriptor.js';
import { encodeResult } from '../../lib/messages.js';
import type { NatsConnection } from '../../lib/nats.js';
import * as subjects from '../../lib/subjects.js';
import type { BusServer, Source, SourceEvent } from '../../native/contract.js';
import { createBusServer, createSource } from '../../native/index.js';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import {
  DetectionServiceClient,
  type SubscribeRequest,
  type SubscribeResponse,
} from '#proto/framebus/detection/v1/detection_service.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { natsClient, natsServer } from './nats.js';
import { runNode, type TestProcess } from './process.js';
import { tempFile, tempFolder } from './temp.js';

type EpochEvent = Extract<SourceEvent, { type: 'epoch' }>;
type FrameEvent = Extract<SourceEvent, { type: 'frame' }>;

/** A made clip of a bouncing ball: no two neighbouring frames are the same. */
export function ballClip(width: number, height: number, frames: number, fps = 25): string {
  const file = join(tempFolder(), 'ball.mp4');
  const caps = `video/x-raw,format=I420,width=${width},height=${height},framerate=${fps}/1`;
  const encode = ['x264enc', 'speed-preset=ultrafast', 'key-int-max=25', '!', 'h264parse', '!', 'mp4mux'];
  const source = ['videotestsrc', `num-buffers=${frames}`, 'pattern=ball', '!', caps];
  execFileSync('gst-launch-1.0', ['-q', ...source, '!', ...encode, '!', 'filesink', `location=${file}`]);
  return file;
}

/** What was "seen" in frame `seq`: a person that walks, and a car that nobody is sure of. */
export function detectionsOf(seq: bigint): Detection[] {
  const x = Number(seq % 100n);
  return [
    { box: { x, y: 30, width: 40, height: 80 }, classId: 0, label: 'person', confidence: 0.87 },
    { box: { x: 150, y: 90, width: 60, height: 30 }, classId: 2, label: 'car', confidence: 0.4 },
  ];
}

/** When the results of a frame are sent, in milliseconds from now; empty: never. */
export type Plan = (seq: bigint) => number[];

/** Decodes a clip into the bus as ingest does, and answers for each frame as infer does. */
export class TestProducer {
  /** Frames that were decoded. */
  frames = 0;
  /** Frames that found no slot. */
  lost = 0;
  readonly #nats: NatsConnection;
  readonly #server: BusServer;
  readonly #sources: Source[] = [];
  readonly #plan: Plan;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(directory: string, nats: NatsConnection, plan: Plan = () => [0]) {
    this.#nats = nats;
    this.#plan = plan;
    const options = { directory, producer: 'ingest-0', allowUids: [], allowGids: [] };
    this.#server = createBusServer(options, () => undefined);
    onTestFinished(() => this.close());
  }

  /** Plays a clip as a live camera, in a circle; `missing` frames are counted as ingest does. */
  play(streamId: string, clip: string, loop = true): Source {
    let epoch: EpochEvent | null = null;
    let missing = 0;
    const source = createSource(
      this.#server,
      {
        streamId,
        uri: `file://${clip}`,
        loop,
        realtime: true,
        mode: 'latest',
        slots: 16,
        groups: ['sink'],
        decoderThreads: 1,
        rtspTransport: 'tcp',
        noFrameTimeoutMs: 10_000,
      },
      (event) => {
        if (event.type === 'epoch') epoch = event;
        if (event.type === 'drop') missing++;
        if (event.type === 'frame' && epoch) {
          this.#answer(source, streamId, epoch, event, missing);
          missing = 0;
        }
        this.lost += event.type === 'drop' ? 1 : 0;
      },
    );
    this.#sources.push(source);
    source.start();
    return source;
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(this.#sources.splice(0).map((source) => source.close()));
    await this.#server.close();
  }

  #answer(source: Source, streamId: string, epoch: EpochEvent, event: FrameEvent, missing: number): void {
    this.frames++;
    const frame = describeFrame(streamId, 'ingest-0', epoch, event, missing);
    const result = ResultMessage.fromPartial({
      frame,
      status: InferenceStatus.INFERENCE_STATUS_INFERRED,
      model: 'test',
      detections: detectionsOf(frame.seq),
    });
    const data = encodeResult(result);
    for (const delayMs of this.#plan(frame.seq)) {
      this.#later(delayMs, () => {
        this.#nats.publish(subjects.results(streamId), data);
      });
    }
    this.#later(1_500, () => {
      source.endDelivery(event.epoch, event.slot, event.generation, 'sink');
    });
  }

  #later(delayMs: number, act: () => void): void {
    if (delayMs === 0) {
      act();
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, delayMs);
    this.#timers.add(timer);
  }
}

/** Where a running sink serves. */
export interface SinkAddresses {
  page: string;
  grpc: string;
  rtsp: string;
}

/** Ports that a sink is to take; any free one otherwise. */
export interface SinkPorts {
  http?: number;
  grpc?: number;
  rtsp?: number;
}

/** A folder for the bus, a nats-server, and sinks to start on them. */
export class SinkRig {
  readonly directory = tempFolder();
  readonly url: string;
  readonly nats: NatsConnection;
  readonly #config: string;

  private constructor(url: string, nats: NatsConnection, streams: readonly string[], ports: SinkPorts) {
    this.url = url;
    this.nats = nats;
    chmodSync(this.directory, 0o750);
    this.#config = tempFile(
      'framebus.yaml',
      `log: {level: info, format: json}
bus: {directory: ${this.directory}}
nats: {url: '${url}'}
sink:
  http: {port: ${ports.http ?? 0}}
  grpc: {port: ${ports.grpc ?? 0}}
  rtsp: {port: ${ports.rtsp ?? 0}}
  encode: {preset: ultrafast, keyframe_interval: 1s, threads: 1}
streams:
${streams.map((id) => `  ${id}: {source: /clip.mp4, slots: 16}`).join('\n')}
`,
    );
  }

  static async start(streams: readonly string[] = ['gate'], ports: SinkPorts = {}): Promise<SinkRig> {
    const { url } = await natsServer();
    return new SinkRig(url, await natsClient(url), streams, ports);
  }

  /** Starts a sink as a process of its own. */
  run(): TestProcess {
    return runNode(['dist/services/sink/main.js', '--config', this.#config]);
  }

  /** Starts a sink and waits until it runs. */
  async sink(): Promise<{ process: TestProcess; addresses: SinkAddresses }> {
    const process = this.run();
    const [line] = await process.output(/^.*sink-0 running.*$/m);
    return { process, addresses: JSON.parse(line) as SinkAddresses };
  }
}

/** The gRPC client of a sink's detections, closed with the test. */
export function detectionClient(address: string): DetectionServiceClient {
  const client = new DetectionServiceClient(address, credentials.createInsecure());
  onTestFinished(() => {
    client.close();
  });
  return client;
}

/** What a subscription has given so far, and how it ended. */
export interface Subscribed {
  responses: SubscribeResponse[];
  seqs(): number[];
  error: Promise<{ code: number; details: string }>;
  cancel(): void;
}

export function subscribe(address: string, request: Partial<SubscribeRequest> = {}): Subscribed {
  const call = detectionClient(address).subscribe({
    streamIds: [],
    labels: [],
    minConfidence: 0,
    onlyWithDetections: false,
    ...request,
  });
  const responses: SubscribeResponse[] = [];
  call.on('data', (response: SubscribeResponse) => responses.push(response));
  const error = new Promise<{ code: number; details: string }>((resolve) => {
    call.on('error', (e: Error) => {
      resolve(e as unknown as { code: number; details: string });
    });
  });
  return {
    responses,
    seqs: () => responses.map((r) => Number(r.record?.seq)),
    error,
    cancel: () => {
      call.cancel();
    },
  };
}
