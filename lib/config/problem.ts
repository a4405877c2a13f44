import { isMap, isScalar, isSeq, type Document, type LineCounter, type Pair, type YAMLError } from 'yaml';
import type { z } from 'zod';
import { redactUrl } from '../log.js';
import { closest } from './closest.js';
import { show } from './fields.js';
import { knownKeys } from './schema.js';

/** One thing that is wrong with a configuration. */
export interface Problem {
  /** Line in the file, from 1. */
  line: number;
  /** Key path, for example "streams.gate.source"; empty for the file as a whole. */
  path: string;
  message: string;
}

type Path = readonly PropertyKey[];

/** Finds lines in a parsed file. */
export class Positions {
  readonly #document: Document;
  readonly #lines: LineCounter;

  constructor(document: Document, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
  }

  /** Line of the key at a path, or of the innermost parent that exists. */
  line(path: Path): number {
    let node: unknown = this.#document.contents;
    let offset = 0;
    for (const key of path) {
      const pair = isMap(node) ? node.items.find((item) => keyOf(item) === String(key)) : undefined;
      const next = pair !== undefined ? pair.value : isSeq(node) ? node.items[Number(key)] : undefined;
      const start = startOf(pair?.key) ?? startOf(next);
      if (start === undefined) break;
      offset = start;
      node = next;
    }
    return this.#lines.linePos(offset).line;
  }
}

const keyOf = (pair: Pair): string => String(isScalar(pair.key) ? pair.key.value : pair.key);

function startOf(node: unknown): number | undefined {
  const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined;
  return Array.isArray(range) ? Number(range[0]) : undefined;
}

/** What the YAML reader has to say. */
export function yamlProblem(error: YAMLError, text: string): Problem {
  const line = error.linePos?.[0].line ?? 1;
  if (error.code === 'DUPLICATE_KEY') {
    const [key = ''] = text.slice(error.pos[0]).split(/[:\n]/);
    return { line, path: '', message: `key ${show(key.trim().replace(/^(["'])(.*)\1$/, '$2'))} stands twice in the same section; remove one` };
  }
  const [first = ''] = error.message.split('\n');
  return { line, path: '', message: `not valid YAML: ${first.replace(/ at line \d+, column \d+:?$/, '')}` };
}

/**
 * What the schema has to say, in words that name value and remedy.
 *
 * @param known keys of a section, for suggestions; those of the configuration unless said otherwise
 */
export function schemaProblems(issue: z.core.$ZodIssue, positions: Positions, known = knownKeys): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      return { line: positions.line(path), path: join(path), message: unknownKey(key, known(issue.path) ?? []) };
    });
  }
  const message = issueText(issue);
  return [{ line: positions.line(issue.path), path: join(issue.path), message }];
}

/** What is wrong with one value, in words. */
export const issueText = (issue: z.core.$ZodIssue): string => redactUrl(wording(issue));

function unknownKey(key: string, known: string[]): string {
  const near = closest(key, known);
  return near === undefined
    ? `unknown key; known here: ${known.join(', ')}`
    : `unknown key; did you mean "${near}"?`;
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  boolean: 'true or false',
  number: 'a number',
  int: 'a whole number',
  array: 'a list',
  object: 'a section with keys',
  record: 'a section with names as keys',
};

function wording(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return missing(issue.path);
      if (issue.input === null && join(issue.path) === 'streams') return NO_STREAMS;
      return `must be ${KINDS[issue.expected] ?? issue.expected}, is ${show(issue.input)}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map((value) => String(value)).join(', ')}, is ${show(issue.input)}`;
    case 'too_small':
      return `must be at least ${issue.minimum}, is ${show(issue.input)}`;
    case 'too_big':
      return `must be at most ${issue.maximum}, is ${show(issue.input)}`;
    default:
      return issue.message;
  }
}

/** Said of a `streams:` with nothing below it. */
export const NO_STREAMS = 'is empty: name at least one stream and its source';

function missing(path: Path): string {
  const key = String(path.at(-1) ?? '');
  if (key === 'streams') return 'is missing: name at least one stream and its source';
  if (key === 'source') return 'is missing: give a path or a URI such as rtsp://camera/stream';
  return 'is missing';
}

/** A path as people write it. */
export function join(path: Path): string {
  return path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : text === '' ? String(key) : `${text}.${String(key)}`),
    '',
  );
}

/** One line a problem, in the order of the file. */
export function formatProblems(file: string, problems: readonly Problem[]): string {
  const lines = problems
    .toSorted((a, b) => a.line - b.line)
    .map(({ line, path, message }) => `${file}:${line}: ${path === '' ? '' : `${path}: `}${message}`);
  return [...new Set(lines)].join('\n');
}
