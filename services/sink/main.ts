import { runService } from '../../lib/service.js';
import { startSink } from './sink.js';

process.exit(await runService('sink', startSink, { argv: process.argv.slice(2) }));
