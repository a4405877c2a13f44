import type { status } from '@grpc/grpc-js';

/** What the catalogue says of one kind of error. */
export interface ErrorEntry {
  /** Status of a gRPC call that ends with it. */
  grpc: keyof typeof status;
  /** Exit code of a process that ends with it; sysexits.h where that has a word for it. */
  exit: number;
  /** Whether the same thing may work later without anybody changing something. */
  retryable: boolean;
  /** What to do about it. */
  remedy: string;
}

/** Exit codes, after sysexits.h, so that supervisors know which ones a restart can mend. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 64,
  data: 65,
  noInput: 66,
  unavailable: 69,
  software: 70,
  os: 71,
  io: 74,
  temporary: 75,
  permission: 77,
  config: 78,
  /** 128 + SIGINT: forced by a second Ctrl-C. */
  interrupted: 130,
} as const;
