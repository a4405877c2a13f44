import { runService } from '../../lib/service.js';
import { startIngest } from './ingest.js';

process.exit(await runService('ingest', startIngest, { argv: process.argv.slice(2) }));
