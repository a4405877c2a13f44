import { disableOnnxTelemetry } from '../../lib/onnx_telemetry.js';
import { runService } from '../../lib/service.js';
import { startInfer } from './infer.js';

disableOnnxTelemetry();

process.exit(await runService('infer', startInfer, { argv: process.argv.slice(2) }));
