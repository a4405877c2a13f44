import { pino } from 'pino';
import pretty from 'pino-pretty';
import { codeOf, FramebusError, isErrorCode, messageOf, toFramebusError } from './errors.js';

export type Log = pino.Logger;

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/** auto: text on a terminal, JSON otherwise. */
export type LogFormat = 'auto' | 'text' | 'json';

export interface LogOptions {
  /** Kind of service, for example "ingest"; stands in every line. */
  service: string;
  /** Name of the instance; left out of the text form. */
  instance?: string;
  level?: LogLevel;
  format?: LogFormat;
  /** File descriptor to write to. Default 2: stdout belongs to results. */
  fd?: number;
}

// The second form is a password with a slash in it; `host:8554/a@b` is a port, not one.
const CREDENTIALS = /:\/\/(?:[^\s"'<>/]*@|[^\s"'<>/:@]*:(?!\d+(?:[/?#\s"']|$))[^\s"'<>]*@)/g;
const SECRET_PARAMETER = /([?&](?:password|passwd|pwd|pass|token|secret|api_?key|auth)=)[^&\s"'#]+/gi;

/** Hides user, password and secret query parameters of every URL in a text. */
export function redactUrl(text: string): string {
  return text.replace(CREDENTIALS, '://***@').replace(SECRET_PARAMETER, '$1***');
}

/** Shows an error in a log line: a stack only for those that are mistakes of ours. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  if (error instanceof FramebusError || isErrorCode(codeOf(error))) {
    const { code, message, remedy } = toFramebusError(error);
    return { code, message, remedy };
  }
  return pino.stdSerializers.err(error);
}

/** In text an error of the catalogue is a few words on the line; only others get lines of their own. */
function shortenError(fields: Record<string, unknown>): Record<string, unknown> {
  const { err, ...rest } = fields;
  const code = codeOf(err);
  return isErrorCode(code) ? { ...rest, code, cause: messageOf(err) } : fields;
}

function textStream(fd: number): ReturnType<typeof pretty> {
  return pretty({
    destination: fd,
    sync: true,
    colorize: process.stderr.isTTY && process.stderr.hasColors(),
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname,service,instance',
    messageFormat: '{service}: {msg}',
    singleLine: true,
  });
}

/** A logger on stderr: one line an event, fields for ids, no credentials. */
export function createLog(options: LogOptions): Log {
  const fd = options.fd ?? 2;
  const format = options.format ?? 'auto';
  const text = format === 'text' || (format === 'auto' && process.stderr.isTTY);
  return pino(
    {
      level: options.level ?? 'info',
      base: {
        service: options.service,
        ...(options.instance === undefined ? {} : { instance: options.instance }),
      },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        ...(text ? { log: shortenError } : {}),
      },
      serializers: { err: serializeError, error: serializeError },
      hooks: { streamWrite: redactUrl },
    },
    text ? textStream(fd) : pino.destination({ dest: fd, sync: true }),
  );
}
