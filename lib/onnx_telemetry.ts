/**
 * Without this, onnxruntime reports its use to its makers, and leaves a file in the temporary
 * folder for each process. Call it on the main thread before the engine loads: a worker's
 * `process.env` is a copy that the engine does not see.
 */
export function disableOnnxTelemetry(): void {
  process.env['ORT_DISABLE_TELEMETRY'] = '1';
}
