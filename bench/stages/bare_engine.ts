import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { disableOnnxTelemetry } from '../../lib/onnx_telemetry.js';

const LOOP = fileURLToPath(new URL('engine_loop.js', import.meta.url));

/** CPU milliseconds a frame of a bare onnxruntime loop, batch 1, in a process of its own. */
export async function bareEngineCpuMs(file: string, threads: number, frames: number): Promise<number> {
  disableOnnxTelemetry();
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, [LOOP, file, String(threads), String(frames)]);
  return Number(stdout);
}
