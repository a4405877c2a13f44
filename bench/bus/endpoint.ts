import { messageOf } from '../../lib/errors.js';

export interface Question {
  id: number;
  operation: string;
  parameters: unknown[];
}

export interface Answer {
  id: number;
  result?: unknown;
  failure?: string;
}

/** Lets the parent process call the methods of an object; says with answer 0 that it is ready. */
export function serveParent(target: object): void {
  const send = (answer: Answer): void => {
    process.send?.(answer);
  };
  process.on('message', (message) => {
    const { id, operation, parameters } = message as Question;
    const method = (target as Record<string, (...parameters: unknown[]) => unknown>)[operation];
    void Promise.resolve()
      .then(() => method?.apply(target, parameters))
      .then(
        (result) => send({ id, result }),
        (error: unknown) => send({ id, failure: messageOf(error) }),
      );
  });
  // The parent is gone, however it went.
  process.on('disconnect', () => process.exit(0));
  send({ id: 0 });
}
