import { describe, expect, it } from 'vitest';
import { KserveQueue } from '../../../services/infer/kserve_queue.js';

/** A piece of work that ends when it is told to. */
function work(): { run: () => Promise<string>; started: () => boolean; end: (error?: Error) => void } {
  let hasStarted = false;
  let end: (error?: Error) => void = () => undefined;
  const ended = new Promise<string>((resolve, reject) => {
    end = (error) => (error === undefined ? resolve('done') : reject(error));
  });
  const run = (): Promise<string> => {
    hasStarted = true;
    return ended;
  };
  return { run, started: () => hasStarted, end };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const never = new AbortController().signal;

describe('KserveQueue', () => {
  it('runs one after the other, in order, also after one that fails', async () => {
    const queue = new KserveQueue(2);
    const [a, b, c] = [work(), work(), work()];
    const answers = [a, b, c].map((one) => queue.run('m', never, one.run));
    await settle();
    expect([a.started(), b.started(), c.started()]).toEqual([true, false, false]);
    expect(queue.waiting('m')).toBe(2);
    a.end(new Error('broken'));
    await expect(answers[0]).rejects.toThrow('broken');
    await settle();
    expect([b.started(), c.started()]).toEqual([true, false]);
    b.end();
    c.end();
    expect(await Promise.all(answers.slice(1))).toEqual(['done', 'done']);
    expect(queue.waiting('m')).toBe(0);
  });

  it('refuses who finds all places taken, for this model only', async () => {
    const queue = new KserveQueue(1);
    const [a, b, other] = [work(), work(), work()];
    const first = [queue.run('m', never, a.run), queue.run('m', never, b.run)];
    await expect(queue.run('m', never, work().run)).rejects.toMatchObject({
      code: 'MODEL_BUSY',
      message: 'model m: 1 requests wait for it already',
    });
    const elsewhere = queue.run('n', never, other.run);
    other.end();
    expect(await elsewhere).toBe('done');
    a.end();
    b.end();
    await Promise.all(first);
    const again = work();
    again.end();
    expect(await queue.run('m', never, again.run)).toBe('done');
  });

  it('gives the place of one that is given up to the next, and never runs it', async () => {
    const queue = new KserveQueue(1);
    const [a, b, c] = [work(), work(), work()];
    const first = queue.run('m', never, a.run);
    const abort = new AbortController();
    const givenUp = queue.run('m', abort.signal, b.run);
    abort.abort();
    await expect(givenUp).rejects.toMatchObject({ code: 'CANCELLED' });
    const last = queue.run('m', never, c.run);
    a.end();
    c.end();
    expect(await Promise.all([first, last])).toEqual(['done', 'done']);
    expect(b.started()).toBe(false);
    await expect(queue.run('m', abort.signal, b.run)).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('sends those away that wait when it closes, and finishes the one that runs', async () => {
    const queue = new KserveQueue(4);
    const [a, b] = [work(), work()];
    const first = queue.run('m', never, a.run);
    const waiting = queue.run('m', never, b.run);
    queue.close();
    await expect(waiting).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    await expect(queue.run('m', never, b.run)).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    a.end();
    expect(await first).toBe('done');
    expect(b.started()).toBe(false);
  });
});
