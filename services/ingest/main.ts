import { runService } from '../../lib/service.js';
import { startIngest } from './ingest.js';

process.exitCode = await runService('ingest', startIngest);
