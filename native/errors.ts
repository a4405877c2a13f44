import type { NativeError } from './contract.js';

/** Codes of the errors that the door itself raises, before any C++ runs. */
export type LoadErrorCode = 'ADDON_MISSING' | 'ADDON_UNLOADABLE';

/** The addon is not there, or not for this machine. */
export class AddonLoadError extends Error implements NativeError {
  override readonly name = 'AddonLoadError';
  readonly code: LoadErrorCode;

  constructor(code: LoadErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Whether an error was raised by the addon or its door, and so carries a code. */
export function isNativeError(error: unknown): error is NativeError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string';
}
