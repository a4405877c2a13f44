import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { conflicts } from './config/conflicts.js';
import type { Environment } from './config/locations.js';
import { formatProblems, NO_STREAMS, Positions, schemaProblems, yamlProblem, type Problem } from './config/problem.js';
import { resolveConfig, type Config } from './config/resolve.js';
import { schema } from './config/schema.js';
import { codeOf, FramebusError, messageOf } from './errors.js';

export type {
  BatchConfig,
  Config,
  EncodeConfig,
  EndpointConfig,
  InferConfig,
  IngestConfig,
  ReconnectConfig,
  RecordConfig,
  RecordingsConfig,
  RecordsConfig,
  ReorderConfig,
  SinkConfig,
  SecondaryConfig,
  StreamConfig,
  TrackerConfig,
} from './config/resolve.js';
export type { EventsConfig, RuleConfig } from './config/events.js';
export type { ConcealConfig, OsdConfig, ShapeConfig } from './config/osd.js';
export type { TilesConfig } from './config/tiles.js';
export { outputEncode, type OutputConfig } from './config/outputs.js';

/** Reads a configuration file. Throws CONFIG_NOT_FOUND, CONFIG_UNREADABLE, CONFIG_INVALID. */
export function loadConfig(file: string, environment: Environment = process.env): Config {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') {
      throw new FramebusError('CONFIG_NOT_FOUND', `${file}: no such file`, { cause: error });
    }
    const why = codeOf(error) === 'EISDIR' ? 'is a folder, not a file' : messageOf(error);
    throw new FramebusError('CONFIG_UNREADABLE', `${file}: ${why}`, { cause: error });
  }
  return parseConfig(text, file, environment);
}

/**
 * Reads a configuration from its text; `file` names it in messages, and paths in
 * it are taken from its folder. Throws CONFIG_INVALID, whose message lists every
 * problem as "file:line: key: what is wrong".
 */
export function parseConfig(text: string, file: string, environment: Environment = process.env): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, merge: true });
  const positions = new Positions(document, lines);
  const problems: Problem[] = document.errors.map((error) => yamlProblem(error, text));
  if (document.errors.some((error) => error.code !== 'DUPLICATE_KEY')) throw invalid(file, problems);

  const raw = toValue(document, file);
  const parsed = schema.safeParse(raw ?? {}, { reportInput: true });
  if (!parsed.success) {
    problems.push(...parsed.error.issues.flatMap((issue) => schemaProblems(issue, positions)));
  } else if (Object.keys(parsed.data.streams).length === 0) {
    problems.push({ line: positions.line(['streams']), path: 'streams', message: NO_STREAMS });
  }
  problems.push(...conflicts(raw, positions));
  if (!parsed.success || problems.length > 0) throw invalid(file, problems);
  return resolveConfig(parsed.data, dirname(resolve(file)), environment);
}

/** The document as plain values. Throws CONFIG_INVALID for aliases that do not resolve or explode. */
function toValue(document: ReturnType<typeof parseDocument>, file: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw invalid(file, [{ line: 1, path: '', message: `not valid YAML: ${messageOf(error)}` }]);
  }
}

function invalid(file: string, problems: readonly Problem[]): FramebusError {
  return new FramebusError('CONFIG_INVALID', formatProblems(file, problems));
}
