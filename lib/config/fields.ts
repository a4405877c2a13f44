import { isIP } from 'node:net';
import { z } from 'zod';
import { NAME } from '../subjects.js';
import { formatByteSize, parseByteSize } from './byte_size.js';
import { formatDuration, parseDuration } from './duration.js';

/** A value as it stands in a message, short enough for one line. */
export function show(value: unknown): string {
  // JSON has no word for undefined, functions and the like.
  const text = (JSON.stringify(value) as string | undefined) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Milliseconds from "250ms", "2s", …, within limits. */
export function duration(minMs: number, maxMs: number) {
  const limits = `from ${formatDuration(minMs)} to ${formatDuration(maxMs)}`;
  return z.unknown().transform((value, context) => {
    const ms = value === 0 ? 0 : typeof value === 'string' ? parseDuration(value.trim()) : null;
    if (ms !== null && ms >= minMs && ms <= maxMs) return ms;
    const message =
      ms !== null
        ? `must be ${limits}, is ${show(value)}`
        : typeof value === 'number'
          ? `a duration needs a unit (ms, s, m, h, d), is ${show(value)}; for example "${value}s"`
          : `must be a duration such as "250ms" or "2s", ${limits}, is ${show(value)}`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

/** Bytes from "512MiB", "1GiB", …, within limits; 0 always means none. */
export function byteSize(min: number, max: number) {
  const limits = `0, or from ${formatByteSize(min)} to ${formatByteSize(max)}`;
  return z.unknown().transform((value, context) => {
    const bytes = value === 0 ? 0 : typeof value === 'string' ? parseByteSize(value.trim()) : null;
    if (bytes !== null && (bytes === 0 || (bytes >= min && bytes <= max))) return bytes;
    const message =
      bytes !== null
        ? `must be ${limits}, is ${show(value)}`
        : `must be a size with its unit (B, KiB, MiB, GiB, TiB), ${limits}, is ${show(value)}`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

/** A whole number within limits. */
export function integer(min: number, max: number) {
  return z.number().check((context) => {
    const { value } = context;
    if (Number.isInteger(value) && value >= min && value <= max) return;
    const message = `must be a whole number from ${min} to ${max}, is ${show(value)}`;
    context.issues.push({ code: 'custom', message, input: value });
  }).meta({ type: 'integer', minimum: min, maximum: max });
}

/** A number within limits. */
export function decimal(min: number, max: number) {
  return z.number().refine((value) => value >= min && value <= max, {
    error: (issue) => `must be from ${min} to ${max}, is ${show(issue.input)}`,
  }).meta({ minimum: min, maximum: max });
}

/** A port to listen on; 0 takes a free one. */
export const port = integer(0, 65_535);

const HOST_NAME = /^(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*$/;

/** An address to listen on. */
export const host = z.string().refine((value) => isIP(value) !== 0 || HOST_NAME.test(value), {
  error: (issue) => `must be an IP address or host name, is ${show(issue.input)}`,
});

/** What a stream, model or service instance may be called. */
export const name = z.string().regex(NAME, {
  error: (issue) => `must be 1 to 64 of A-Z a-z 0-9 _ -, is ${show(issue.input)}`,
});

const FOLDER_PART = /^(?:[A-Za-z0-9_-]|\{stream\})(?:[A-Za-z0-9._-]|\{stream\})*$/;

/** A folder below another one; it cannot lead out of it. `{stream}` stands for the stream's name. */
export const folderBelow = z.string().refine(
  (value) => value.length <= 256 && value.split('/').every((part) => FOLDER_PART.test(part)),
  {
    error: (issue) =>
      `must be a folder below the root such as "{stream}" or "yard/{stream}": A-Z a-z 0-9 _ - . and no leading dot, is ${show(issue.input)}`,
  },
);

/** Text that is not empty. */
export const text = z.string().refine((value) => value.trim() !== '', { error: 'must not be empty' }).meta({ minLength: 1 });

/** A section: unknown keys are refused, and one that is left empty means its defaults. */
export function section<S extends z.ZodRawShape>(shape: S) {
  return z.preprocess((value) => value ?? {}, z.strictObject(shape));
}

/** Where to listen, on this machine only unless said otherwise. */
export const endpoint = (defaultPort: number) => ({
  host: host.default('127.0.0.1'),
  port: port.default(defaultPort),
});
