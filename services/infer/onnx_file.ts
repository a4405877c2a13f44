import type * as Onnx from 'onnxruntime-node';
import { FramebusError, messageOf } from '../../lib/errors.js';
import { loadOnnxRuntime } from './onnx_engine.js';

/** An input or output of a graph, as the file declares it. */
export interface OnnxValue {
  name: string;
  /** Type of the elements, or "no tensor". */
  type: string;
  /** A length that is open is a name, or −1. */
  shape: (number | string)[];
}

/** What an ONNX file takes and gives. */
export interface OnnxSignature {
  inputs: OnnxValue[];
  outputs: OnnxValue[];
}

/** Reads what a graph takes and gives. @throws ENGINE_MISSING, ENGINE_FAILED */
export async function onnxSignature(file: string): Promise<OnnxSignature> {
  const { InferenceSession } = await loadOnnxRuntime();
  try {
    const session = await InferenceSession.create(file, { graphOptimizationLevel: 'disabled', logSeverityLevel: 3 });
    const signature = { inputs: session.inputMetadata.map(value), outputs: session.outputMetadata.map(value) };
    await session.release();
    return signature;
  } catch (error) {
    throw new FramebusError('ENGINE_FAILED', `${file}: ${messageOf(error)}`, {
      cause: error,
      remedy: 'Check that the file is an ONNX model; delete it and fetch it again if it may be damaged.',
    });
  }
}

const value = (metadata: Onnx.InferenceSession.ValueMetadata): OnnxValue =>
  metadata.isTensor
    ? { name: metadata.name, type: metadata.type, shape: [...metadata.shape] }
    : { name: metadata.name, type: 'no tensor', shape: [] };
