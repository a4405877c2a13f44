import type { InferTensorContents, ModelInferResponse } from '#proto/inference/grpc_service.js';
import { FramebusError } from '../../lib/errors.js';
import { bytesOfTexts, classify } from './kserve_classification.js';
import { contentsOfBytes, hasContents, NO_CONTENTS } from './kserve_contents.js';
import { datatypeName } from './kserve_datatype.js';
import type { KserveModel } from './kserve_model.js';
import type { CheckedRequest, WantedOutput } from './kserve_request.js';
import type { OutputTensorData } from './tensor_inference.js';

/** An output on its way out, both ways to write it. */
interface AnsweredOutput {
  datatype: string;
  dims: readonly number[];
  bytes: () => Buffer;
  /** null where only bytes will do. */
  contents: (() => InferTensorContents | null) | null;
}

/** The answer to a request. @throws ENGINE_FAILED when an output is missing */
export function inferResponse(
  model: KserveModel,
  id: string,
  { outputs: wanted, isRaw }: CheckedRequest,
  given: readonly OutputTensorData[],
): ModelInferResponse {
  const answered = wanted.map((output) => ({ name: output.name, ...answer(model, output, given) }));
  // What has no other form takes the others along: raw outputs are all or none.
  const isRawOut = isRaw || answered.some(({ contents }) => contents === null);
  return {
    modelName: model.name,
    modelVersion: model.version,
    id,
    parameters: {},
    outputs: answered.map(({ name, datatype, dims, contents }) => ({
      name,
      datatype,
      shape: dims.map(BigInt),
      parameters: {},
      contents: isRawOut ? undefined : (contents?.() ?? undefined),
    })),
    rawOutputContents: isRawOut ? answered.map(({ bytes }) => bytes()) : [],
  };
}

function answer(model: KserveModel, { name, classes }: WantedOutput, given: readonly OutputTensorData[]): AnsweredOutput {
  const output = given.find((one) => one.name === name);
  if (output === undefined) throw new FramebusError('ENGINE_FAILED', `model ${model.name}: the engine did not give output "${name}"`);
  const { type, bytes } = output;
  if (classes === 0) {
    return {
      datatype: datatypeName(type),
      dims: output.dims,
      bytes: () => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
      contents: hasContents(type) ? () => contentsOfBytes(type, bytes) : null,
    };
  }
  const { dims, texts } = classify(output, classes, model.manifest.labels, model.maxBatch !== null);
  return {
    datatype: 'BYTES',
    dims,
    bytes: () => bytesOfTexts(texts),
    contents: () => ({ ...NO_CONTENTS, bytesContents: texts.map((text) => Buffer.from(text)) }),
  };
}
