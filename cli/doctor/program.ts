import { execFile } from 'node:child_process';

const MAX_OUTPUT_BYTES = 16 << 20;

/** What a program prints; undefined when it is missing, fails or takes too long. */
export function output(program: string, args: readonly string[], timeoutMs = 5_000): Promise<string | undefined> {
  return new Promise((resolve) => {
    const options = { timeout: timeoutMs, maxBuffer: MAX_OUTPUT_BYTES, killSignal: 'SIGKILL' } as const;
    execFile(program, [...args], options, (error, stdout) => {
      resolve(error === null ? stdout.trim() : undefined);
    });
  });
}

/** Its first line. */
export async function firstLine(program: string, args: readonly string[]): Promise<string | undefined> {
  return (await output(program, args))?.split('\n')[0];
}
