import { runService } from '../../lib/service.js';
import { startInfer } from './infer.js';

process.exitCode = await runService('infer', startInfer, { argv: process.argv.slice(2) });
