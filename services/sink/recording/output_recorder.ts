import type { Output } from '../../../native/contract.js';
import type { OutputRecording } from './stream_recording.js';

/** Somebody who records the outputs of a stream, one after the other. */
export interface OutputRecorder {
  /** From the output's first picture on; null when that is not possible, which the log says. */
  attach(output: Output): OutputRecording | null;
}

/** Several who record the same pictures; null when there are none. */
export function recordersTogether(...recorders: readonly (OutputRecorder | null)[]): OutputRecorder | null {
  const all = recorders.filter((recorder) => recorder !== null);
  const [first, ...more] = all;
  if (first === undefined || more.length === 0) return first ?? null;
  return {
    attach: (output) => {
      const recordings = all.map((recorder) => recorder.attach(output)).filter((recording) => recording !== null);
      return {
        hasRoom: () => recordings.every((recording) => recording.hasRoom()),
        expect: (number, record) => {
          for (const recording of recordings) recording.expect(number, record);
        },
        close: async () => {
          await Promise.all(recordings.map((recording) => recording.close()));
        },
      };
    },
  };
}
