import type {
  BusConsumerOptions,
  BusServerOptions,
  FrameFormat,
  ProducerPoolOptions,
} from '../../native/contract.js';

/** Name of the producer's socket. */
export const PRODUCER = 'bench-0';
/** The only group on the route; it has one member. */
export const GROUP = 'bench';

/** Frames that the consumer may hold of one pool; it holds one at a time. */
const HOLD = 2;

export const serverOptions = (directory: string): BusServerOptions => ({
  directory,
  producer: PRODUCER,
  allowUids: [],
  allowGids: [],
  token: '',
  leaseDeadlineMs: 10_000,
});

export const poolOptions = (streamId: string, format: FrameFormat, slots: number): ProducerPoolOptions => ({
  streamId,
  format,
  memory: 'shm',
  slots,
  groups: [{ name: GROUP, hold: HOLD }],
});

export const consumerOptions = (directory: string): BusConsumerOptions => ({
  directory,
  name: `bench-${process.pid}`,
  group: GROUP,
  maxHeld: 256,
  hold: HOLD,
  minHold: 1,
  token: '',
});
