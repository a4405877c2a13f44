/** Runs programs: output to a log file or to the terminal, and an interruption that ends them. */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { root, shown } from './paths.mjs';

/** A program that failed, with the end of what it wrote. */
export class CommandFailed extends Error {
  /**
   * @param {string} command
   * @param {string} outcome for example 'exit code 1'
   * @param {string | null} log file with everything that it wrote
   */
  constructor(command, outcome, log) {
    super(`${command}: ${outcome}`);
    this.name = 'CommandFailed';
    this.log = log;
  }
}

/** Thrown where work stops because the person asked for it. */
export class Interrupted extends Error {
  constructor() {
    super('interrupted');
    this.name = 'Interrupted';
  }
}

/**
 * @typedef {object} CommandOptions
 * @property {string} [cwd] default: the repository
 * @property {Record<string, string>} [env] added to the environment
 * @property {string | null} [log] file that gets the output; null: the terminal gets it
 * @property {(line: string) => void} [onLine] called for each line of output (with a log only)
 * @property {(line: string) => void} [onStatus] called for each line that the program writes to fd 3
 * @property {AbortSignal} [signal] ends the program
 * @property {boolean} [patient] never force the program to end, only ask it (package installation)
 */

/**
 * Runs a program to its end.
 * @param {string} command
 * @param {string[]} args
 * @param {CommandOptions} [options]
 * @returns {Promise<void>}
 */
export function run(command, args, options = {}) {
  if (options.signal?.aborted) return Promise.reject(new Interrupted());
  const shownCommand = [shown(command), ...args].join(' ');
  const log = options.log ? openLog(options.log, shownCommand) : null;
  const output = log === null ? 'inherit' : 'pipe';
  const child = spawn(command, args, {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', output, output, options.onStatus ? 'pipe' : 'ignore'],
    // Its own process group: the terminal's Ctrl-C reaches us alone, and we end the whole tree.
    detached: true,
  });
  const keep = (line) => {
    if (log !== null) writeSync(log, `${line}\n`);
    options.onLine?.(line);
  };
  readLines(child.stdout, keep);
  readLines(child.stderr, keep);
  readLines(child.stdio[3], (line) => options.onStatus?.(line));
  const stopEnding = endOnAbort(child, options.signal, options.patient ?? false);
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      stopEnding();
      const cause = error.code === 'ENOENT' ? 'program not found' : error.message;
      reject(new CommandFailed(command, cause, options.log ?? null));
    });
    child.once('close', (code, signalName) => {
      stopEnding();
      if (log !== null) closeSync(log);
      if (options.signal?.aborted) reject(new Interrupted());
      else if (code === 0) resolve();
      else {
        const outcome = signalName ? `ended by ${signalName}` : `exit code ${code}`;
        reject(new CommandFailed(shownCommand, outcome, options.log ?? null));
      }
    });
  });
}

/**
 * Runs a program and returns what it wrote to stdout; throws when it fails.
 * @param {string} command
 * @param {string[]} args
 * @param {CommandOptions & {allowFailure?: boolean}} [options]
 * @returns {Promise<string>}
 */
export function capture(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => (text += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk) => (errors += chunk));
    child.once('error', (error) => {
      if (options.allowFailure) resolve('');
      else reject(new CommandFailed(command, error.message, null));
    });
    child.once('close', (code) => {
      if (code === 0 || options.allowFailure) resolve(text);
      else reject(new CommandFailed([command, ...args].join(' '), errors.trim(), null));
    });
  });
}

/**
 * The last lines of a log.
 * @param {string} file
 * @param {number} lines
 */
export function tail(file, lines) {
  const text = readFileSync(file, 'utf8').trimEnd();
  return text.split('\n').slice(-lines).join('\n');
}

function openLog(file, command) {
  mkdirSync(path.dirname(file), { recursive: true });
  const log = openSync(file, 'a');
  writeSync(log, `$ ${command}\n`);
  return log;
}

function readLines(stream, onLine) {
  if (!stream) return;
  readline.createInterface({ input: stream, crlfDelay: Infinity }).on('line', onLine);
}

/** Asks the whole group to end when the signal fires, insists after 5 s; returns the undoing. */
function endOnAbort(child, signal, patient) {
  if (!signal) return () => undefined;
  let force;
  const send = (name) => {
    try {
      process.kill(patient ? child.pid : -child.pid, name);
    } catch {
      // It has ended by itself.
    }
  };
  const onAbort = () => {
    send(patient ? 'SIGINT' : 'SIGTERM');
    if (!patient) force = setTimeout(() => send('SIGKILL'), 5000);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  return () => {
    clearTimeout(force);
    signal.removeEventListener('abort', onAbort);
  };
}
