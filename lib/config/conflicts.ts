import { NAME } from '../subjects.js';
import { concealProblem } from './concealed_labels.js';
import { parseDuration } from './duration.js';
import { join, type Positions, type Problem } from './problem.js';
import { schema } from './schema.js';
import { isFile, producerOf } from './source_uri.js';
import { tilesConflicts } from './tiles.js';

const DEFAULTS: unknown = schema.parse({ streams: { any: { source: '/any' } } });

const PORTS = [
  ['ingest', 'http', 'port'],
  ['ingest', 'grpc', 'port'],
  ['infer', 'http', 'port'],
  ['infer', 'grpc', 'port'],
  ['sink', 'http', 'port'],
  ['sink', 'grpc', 'port'],
  ['sink', 'rtsp', 'port'],
] as const;

/** A value of the file before the schema has seen it; undefined where the file says nothing. */
function at(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (node, key) =>
      typeof node === 'object' && node !== null ? (node as Record<string, unknown>)[key] : undefined,
    value,
  );
}

/**
 * Names of streams, and values that are right by themselves and wrong together.
 * Works on the file as it stands, so that its problems come together with the schema's.
 */
export function conflicts(file: unknown, positions: Positions): Problem[] {
  const streams = at(file, ['streams']);
  const names = typeof streams === 'object' && streams !== null ? Object.keys(streams) : [];
  const problem = (path: readonly (string | number)[], message: string): Problem => ({
    line: positions.line(path),
    path: join(path),
    message,
  });
  return [
    ...portConflicts(file, problem),
    ...rtspConflicts(file, problem),
    ...encodeConflicts(file, problem),
    ...tiledConflicts(file, names, problem),
    ...reconnectConflict(file, ['defaults', 'reconnect'], problem),
    ...outputConflicts(file, ['defaults'], problem),
    ...folderConflicts(file, names, problem),
    ...names.flatMap((name) => [
      ...nameProblem(name, problem),
      ...liveConflicts(file, name, problem),
      ...concealConflict(file, name, problem),
      ...trackerConflict(file, name, problem),
      ...ruleConflicts(file, name, problem),
      ...reconnectConflict(file, ['streams', name, 'reconnect'], problem),
      ...outputConflicts(file, ['streams', name], problem),
      ...recordedOutputConflict(file, name, problem),
    ]),
  ];
}

type MakeProblem = (path: readonly (string | number)[], message: string) => Problem;

function nameProblem(name: string, problem: MakeProblem): Problem[] {
  return NAME.test(name)
    ? []
    : [problem(['streams', name], 'the name of a stream must be 1 to 64 of A-Z a-z 0-9 _ -')];
}

function portConflicts(file: unknown, problem: MakeProblem): Problem[] {
  const owners = new Map<unknown, string>();
  const problems: Problem[] = [];
  for (const path of PORTS) {
    const wanted = at(file, path) ?? at(DEFAULTS, path);
    const owner = owners.get(wanted);
    if (owner !== undefined) problems.push(problem(path, `port ${String(wanted)} is already that of ${owner}`));
    else if (wanted !== 0) owners.set(wanted, join(path));
  }
  return problems;
}

function rtspConflicts(file: unknown, problem: MakeProblem): Problem[] {
  const path = ['sink', 'rtsp'];
  const problems: Problem[] = [];
  const [cert, key] = ['cert_file', 'key_file'].map((name) => at(file, [...path, 'tls', name]) ?? null);
  if ((cert === null) !== (key === null)) {
    const [missing, other] = cert === null ? ['cert_file', 'key_file'] : ['key_file', 'cert_file'];
    problems.push(problem([...path, 'tls'], `${missing} is missing: it and ${other} go together`));
  }
  const transports = at(file, [...path, 'transports']);
  if (cert !== null && Array.isArray(transports) && transports.includes('udp')) {
    problems.push(problem([...path, 'transports'], 'udp is not for TLS: pictures over UDP are not encrypted; use [tcp]'));
  }
  const users = at(file, [...path, 'users']);
  const names = Array.isArray(users) ? users.map((user: unknown) => at(user, ['name'])) : [];
  const twice = names.find((name, i) => typeof name === 'string' && names.indexOf(name) !== i);
  if (typeof twice === 'string') problems.push(problem([...path, 'users'], `${twice} is there twice`));
  return problems;
}

/** What each encoder writes; the others and auto write all. */
const ENCODER_CODEC: Readonly<Record<string, string>> = { x264: 'h264', openh264: 'h264', x265: 'h265' };
/** What x265enc takes at most. */
const X265_MAX_KBPS = 102_400;

function encodeConflicts(file: unknown, problem: MakeProblem): Problem[] {
  const path = ['sink', 'encode'];
  const written = (key: string): unknown => at(file, [...path, key]) ?? undefined;
  const effective = (key: string): unknown => written(key) ?? at(DEFAULTS, [...path, key]);
  const [codec, encoder, control] = [effective('codec'), effective('encoder'), effective('rate_control')];
  const [bitrate, max] = [effective('bitrate_kbps'), written('max_bitrate_kbps')];
  const problems: Problem[] = [];
  const refuse = (key: string, message: string): void => {
    problems.push(problem([...path, key], message));
  };
  const writes = ENCODER_CODEC[String(encoder)];
  if (writes !== undefined && writes !== codec) {
    refuse('encoder', `${String(encoder)} does not write ${String(codec)}; use codec: ${writes}, or encoder: auto`);
  }
  if (control === 'cbr' && max !== undefined) {
    refuse('max_bitrate_kbps', 'is for rate_control: vbr or quality; with cbr bitrate_kbps is the limit');
  }
  if (control === 'vbr' && typeof bitrate === 'number' && typeof max === 'number' && max < bitrate) {
    refuse('max_bitrate_kbps', 'must not be less than bitrate_kbps');
  }
  if (control !== 'quality' && written('quality') !== undefined) {
    refuse('quality', `is for rate_control: quality; with ${String(control)} set bitrate_kbps`);
  }
  if (control === 'quality' && written('bitrate_kbps') !== undefined) {
    refuse('bitrate_kbps', 'means nothing with rate_control: quality; use max_bitrate_kbps for a limit');
  }
  if (control === 'quality' && encoder === 'jetson' && max !== undefined) {
    refuse('max_bitrate_kbps', 'cannot be had from jetson with rate_control: quality; use vbr');
  }
  if (codec === 'h265' && (encoder === 'auto' || encoder === 'x265') && typeof bitrate === 'number' && bitrate > X265_MAX_KBPS) {
    refuse('bitrate_kbps', `must be at most ${X265_MAX_KBPS} for x265; use another encoder for more`);
  }
  return problems;
}

function tiledConflicts(file: unknown, names: readonly string[], problem: MakeProblem): Problem[] {
  const problems: Problem[] = [];
  tilesConflicts(at(file, ['sink', 'tiles']), names, at(file, ['sink', 'encode', 'rate_control']), (path, message) => {
    problems.push(problem(['sink', 'tiles', ...path], message));
  });
  return problems;
}

function liveConflicts(file: unknown, name: string, problem: MakeProblem): Problem[] {
  const path = ['streams', name];
  const source = at(file, [...path, 'source']);
  if (typeof source !== 'string' || isFile(source)) return [];
  const mode = at(file, [...path, 'mode']) ?? at(file, ['defaults', 'mode']);
  const problems: Problem[] = [];
  // A program that publishes its own frames can wait.
  if (mode === 'lossless' && producerOf(source) === null) {
    problems.push(problem([...path, 'mode'], 'lossless is for files: a live source cannot wait; use latest'));
  }
  if (at(file, [...path, 'loop']) === true) {
    problems.push(problem([...path, 'loop'], 'is for files: a live source has no end to start again from'));
  }
  if (at(file, [...path, 'pace']) === 'fast') {
    problems.push(problem([...path, 'pace'], 'fast is for files: a live source has its own pace'));
  }
  return problems;
}

/** A label that is not kept would never be concealed, and nobody would know. */
function concealConflict(file: unknown, name: string, problem: MakeProblem): Problem[] {
  const list = (...path: string[]): unknown[] => {
    const value = at(file, ['streams', name, ...path]) ?? at(file, ['defaults', ...path]);
    return Array.isArray(value) ? value : [];
  };
  const [kept, secondary, concealed] = [list('labels'), list('secondary'), list('osd', 'conceal', 'labels')];
  const tracker = at(file, ['streams', name, 'tracker', 'kind']) ?? at(file, ['defaults', 'tracker', 'kind']);
  const rests = secondary.some((model) => Number(at(model, ['interval']) ?? 0) > 0);
  if (concealed.length > 0 && tracker === 'none' && rests) {
    return [problem(['streams', name, 'tracker'], 'must not be none where osd.conceal.labels is set and a secondary model has an interval: between its looks nobody knows what to conceal')];
  }
  const lost = concealProblem({ kept, secondary, concealed });
  return lost === null ? [] : [problem(['streams', name, 'labels'], lost)];
}

/** A tracker's limits are an order; what one of them is may come from the defaults. */
function trackerConflict(file: unknown, name: string, problem: MakeProblem): Problem[] {
  const effective = (key: string): unknown =>
    [['streams', name], ['defaults']].map((path) => at(file, [...path, 'tracker', key])).find((value) => value !== undefined) ??
    at(DEFAULTS, ['defaults', 'tracker', key]);
  const [low, high, fresh] = [effective('low_confidence'), effective('high_confidence'), effective('new_confidence')];
  const path = ['streams', name, 'tracker'];
  if (typeof low === 'number' && typeof high === 'number' && low > high) {
    return [problem([...path, 'high_confidence'], 'must not be less than low_confidence')];
  }
  if (typeof fresh === 'number' && typeof high === 'number' && fresh < high) {
    return [problem([...path, 'new_confidence'], 'must not be less than high_confidence')];
  }
  return [];
}

/** Of the outputs that `defaults` or a stream names itself. */
function outputConflicts(file: unknown, path: readonly string[], problem: MakeProblem): Problem[] {
  const list = at(file, [...path, 'outputs']);
  if (!Array.isArray(list)) return [];
  const encode = (key: string): unknown => at(file, ['sink', 'encode', key]) ?? at(DEFAULTS, ['sink', 'encode', key]);
  const x265 = encode('codec') === 'h265' && ['auto', 'x265'].includes(String(encode('encoder')));
  const names = list.map((output: unknown) => at(output, ['name']));
  const problems: Problem[] = [];
  for (const [i, output] of list.entries()) {
    const refuse = (key: string, message: string): void => {
      problems.push(problem([...path, 'outputs', i, key], message));
    };
    const [name, bitrate] = [names[i], at(output, ['bitrate_kbps']) ?? undefined];
    if (typeof name === 'string' && names.indexOf(name) !== i) refuse('name', `${name} is there twice`);
    if (bitrate !== undefined && encode('rate_control') === 'quality') {
      refuse('bitrate_kbps', 'means nothing with sink.encode.rate_control: quality');
    }
    if (x265 && typeof bitrate === 'number' && bitrate > X265_MAX_KBPS) {
      refuse('bitrate_kbps', `must be at most ${X265_MAX_KBPS} for x265; use another encoder for more`);
    }
  }
  return problems;
}

/** A stream whose recording names an output that it has not would never be recorded. */
function recordedOutputConflict(file: unknown, name: string, problem: MakeProblem): Problem[] {
  const own = at(file, ['streams', name, 'record', 'output']);
  const wanted = own === undefined ? at(file, ['defaults', 'record', 'output']) : own;
  if (typeof wanted !== 'string') return [];
  const list = at(file, ['streams', name, 'outputs']) ?? at(file, ['defaults', 'outputs']);
  const names: unknown[] = Array.isArray(list) ? list.map((output: unknown) => at(output, ['name'])) : [];
  if (names.includes(wanted)) return [];
  const there = names.length === 0 ? 'the stream has none' : `there are ${names.map(String).join(', ')}`;
  return [problem(['streams', name, 'record', 'output'], `no output is called ${wanted}; ${there}`)];
}

/** Files of two streams, or of recordings and events, in one folder could not be told apart. */
function folderConflicts(file: unknown, names: readonly string[], problem: MakeProblem): Problem[] {
  const problems: Problem[] = [];
  const owners = new Map<string, string>();
  for (const name of names) {
    for (const section of ['record', 'events']) {
      const written = (key: string): unknown => ofStream(file, name, section, key);
      const template = written('folder');
      if (written('enabled') !== true || typeof template !== 'string') continue;
      const folder = template.replaceAll('{stream}', name);
      const owner = owners.get(folder);
      if (owner === undefined) owners.set(folder, name);
      else problems.push(problem(['streams', name, section, 'folder'], `folder "${folder}" is already that of ${owner}`));
    }
  }
  return problems;
}

/** What holds for a key of a stream's section. */
function ofStream(file: unknown, name: string, section: string, key: string): unknown {
  return at(file, ['streams', name, section, key]) ?? at(file, ['defaults', section, key]) ?? at(DEFAULTS, ['defaults', section, key]);
}

function ruleConflicts(file: unknown, name: string, problem: MakeProblem): Problem[] {
  const path = ['streams', name, 'events', 'rules'];
  const rules = ofStream(file, name, 'events', 'rules');
  if (!Array.isArray(rules) || rules.length === 0) return [];
  const names = rules.map((rule: unknown) => at(rule, ['name']));
  const twice = names.find((one, i) => typeof one === 'string' && names.indexOf(one) !== i);
  const problems = typeof twice === 'string' ? [problem(path, `${twice} is there twice`)] : [];
  if (ofStream(file, name, 'events', 'enabled') !== true) problems.push(problem(path, 'do nothing without events.enabled: true'));
  return problems;
}

function reconnectConflict(file: unknown, path: readonly string[], problem: MakeProblem): Problem[] {
  const written = (key: string): unknown => at(file, [...path, key]);
  if (written('initial') === undefined && written('max') === undefined) return [];
  const effective = (key: string): number | null => {
    const value = written(key) ?? at(file, ['defaults', 'reconnect', key]);
    if (typeof value === 'string') return parseDuration(value);
    const byDefault = at(DEFAULTS, ['defaults', 'reconnect', key]);
    return value === undefined && typeof byDefault === 'number' ? byDefault : null;
  };
  const [initial, max] = [effective('initial'), effective('max')];
  return initial !== null && max !== null && initial > max
    ? [problem([...path, 'max'], 'must not be less than initial')]
    : [];
}
