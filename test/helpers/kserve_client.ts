import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { onTestFinished } from 'vitest';
import { GRPCInferenceServiceClient, ModelInferRequest, type ModelInferResponse } from '#proto/inference/grpc_service.js';
import { ROOT, TestProcess } from './process.js';

/** Debian's, whose packages set-up installs. */
const PYTHON = '/usr/bin/python3';

/** Whether Python can be a client here; a test without it says that it skipped. */
export function hasPythonGrpc(): boolean {
  return spawnSync(PYTHON, ['-c', 'import grpc, numpy, google.protobuf']).status === 0;
}

/** What the client in Python prints. */
export interface PythonAnswer {
  live: boolean;
  ready: boolean;
  platform: string;
  inputs: [string, string, number[]][];
  max_batch_size: number;
  labels: Record<string, string>;
  id: string;
  outputs: [string, string, number[]][];
  refused: [string, string] | null;
}

/** Runs the client in Python; outputs lie beside the input as NumPy files. */
export async function runPythonClient(address: string, model: string, inputFile: string, outputs: readonly string[] = []): Promise<PythonAnswer> {
  const script = path.join(ROOT, 'test', 'fixtures', 'kserve_client.py');
  const descriptors = path.join(ROOT, 'gen', 'descriptor.binpb');
  const client = new TestProcess(PYTHON, [script, descriptors, address, model, inputFile, ...outputs]);
  if ((await client.exitCode()) !== 0) throw new Error(`the client in Python failed:\n${client.stderr}`);
  return JSON.parse(client.stdout) as PythonAnswer;
}

/** A client of the protocol, closed with the test. */
export function kserveClient(address: string): GRPCInferenceServiceClient {
  const client = new GRPCInferenceServiceClient(address, credentials.createInsecure(), { 'grpc.max_receive_message_length': -1 });
  onTestFinished(() => client.close());
  return client;
}

/** A unary call as a promise. */
export function ask<Response>(start: (done: (error: ServiceError | null, response: Response) => void) => unknown): Promise<Response> {
  return new Promise((resolve, reject) =>
    start((error, response) => {
      if (error === null) resolve(response);
      else reject(error);
    }),
  );
}

/** A tensor of a request, as bytes. */
export interface RawInput {
  name: string;
  datatype: string;
  dims: readonly number[];
  data: ArrayBufferView;
}

/** A request with raw bytes. */
export function rawRequest(modelName: string, inputs: readonly RawInput[], more: Partial<ModelInferRequest> = {}): ModelInferRequest {
  return ModelInferRequest.fromPartial({
    modelName,
    inputs: inputs.map(({ name, datatype, dims }) => ({ name, datatype, shape: dims.map(BigInt) })),
    rawInputContents: inputs.map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
    ...more,
  });
}

/** A call that can be given up. */
export interface OpenCall {
  answer: Promise<ModelInferResponse>;
  cancel(): void;
}

/** Starts ModelInfer, with a deadline when one is given. */
export function openInfer(client: GRPCInferenceServiceClient, request: ModelInferRequest, deadlineMs = Number.POSITIVE_INFINITY): OpenCall {
  let cancel = (): void => undefined;
  const answer = new Promise<ModelInferResponse>((resolve, reject) => {
    const open = client.modelInfer(request, new Metadata(), { deadline: Date.now() + deadlineMs }, (error, response) => {
      if (error === null) resolve(response);
      else reject(error);
    });
    cancel = () => open.cancel();
  });
  return { answer, cancel: () => cancel() };
}

export const infer = (client: GRPCInferenceServiceClient, request: ModelInferRequest): Promise<ModelInferResponse> => openInfer(client, request).answer;
