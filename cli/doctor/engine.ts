import type * as Onnx from 'onnxruntime-node';
import type { Config } from '../../lib/config.js';
import { messageOf, toFramebusError } from '../../lib/errors.js';
import { disableOnnxTelemetry } from '../../lib/onnx_telemetry.js';
import { ensureModelFile } from '../../models/fetch.js';
import { findManifest } from '../../models/find.js';
import { absent, missing, ok, type Check } from './check.js';

type Engine = typeof Onnx;

/** Whether the engine loads, and each model of the configuration with it. */
export async function checkEngines(config: Config): Promise<Check[]> {
  const names = new Set(config.streams.flatMap(({ model }) => (model === null ? [] : [model])));
  let engine: Engine | undefined;
  const checks: Check[] = [];
  disableOnnxTelemetry();
  try {
    engine = await import('onnxruntime-node');
    checks.push(ok('inference', 'onnxruntime', engine.env.versions.node ?? engine.env.versions.common));
  } catch (error) {
    checks.push(missing('inference', 'onnxruntime', messageOf(error), 'Run "npm run setup".'));
  }
  checks.push(await checkTensorrt(config.infer.engine === 'tensorrt'));
  for (const name of names) checks.push(await checkModel(name, config, engine));
  return checks;
}

/** Whether plans could run here; nobody needs it unless the configuration asks for it. */
async function checkTensorrt(isNeeded: boolean): Promise<Check> {
  try {
    const { tensorrtPlatform } = await import('../../services/infer/create_engine.js');
    const { version, device, architecture } = await tensorrtPlatform();
    return ok('inference', 'TensorRT', `${version} on ${device} (${architecture})`);
  } catch (error) {
    const { message, remedy } = toFramebusError(error);
    return isNeeded ? missing('inference', 'TensorRT', message, remedy) : absent('inference', 'TensorRT', `${message}; onnxruntime is used`);
  }
}

/** By effect: the file is there, has its checksum, and the engine takes it. */
async function checkModel(name: string, config: Config, engine: Engine | undefined): Promise<Check> {
  try {
    const manifest = findManifest(name, config.models.directory);
    // Aborted from the start: what is here is checked, and nothing is fetched.
    const file = await ensureModelFile(manifest, { cacheDirectory: config.models.cache, signal: AbortSignal.abort() });
    if (engine !== undefined) {
      const session = await engine.InferenceSession.create(file, { logSeverityLevel: 3 });
      await session.release();
    }
    return ok('inference', `model ${name}`, file);
  } catch (error) {
    const { code, message, remedy } = toFramebusError(error);
    if (code === 'MODEL_FETCH' || code === 'CANCELLED') {
      return missing('inference', `model ${name}`, 'not fetched yet', `Run "framebus model fetch ${name}".`);
    }
    const known = code === 'INTERNAL' ? `Run "framebus model fetch ${name}"; delete the file if it stays like this.` : remedy;
    return missing('inference', `model ${name}`, message, known);
  }
}
