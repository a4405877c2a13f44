import { createServer } from 'node:net';

/** The preferred port when nobody has it, else 0: the service takes a free one and says which. */
export async function preferredPort(port: number, host: string): Promise<number> {
  return (await isFree(port, host)) ? port : 0;
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => {
      resolve(false);
    });
    probe.listen({ port, host, exclusive: true }, () => {
      probe.close(() => {
        resolve(true);
      });
    });
  });
}
