import { readdirSync, readFileSync } from 'node:fs';

/** GStreamer calls the thread that encodes after the element that feeds it, and x264's inherit the name. */
const ENCODER = /^appsrc\d+:src$/;

/** CPU microseconds that a process' running threads have used so far. */
export interface ThreadCpu {
  allUs: number;
  /** Those that encode. */
  encoderUs: number;
}

export function threadCpu(pid: number): ThreadCpu {
  const used = { allUs: 0, encoderUs: 0 };
  const folder = `/proc/${pid}/task`;
  for (const thread of readdirSync(folder)) {
    // Its first field is the time spent on a CPU, in nanoseconds.
    const us = Number(readFileSync(`${folder}/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1000;
    used.allUs += us;
    if (ENCODER.test(readFileSync(`${folder}/${thread}/comm`, 'utf8').trim())) used.encoderUs += us;
  }
  return used;
}

export const cpuBetween = (before: ThreadCpu, after: ThreadCpu): ThreadCpu => ({
  allUs: after.allUs - before.allUs,
  encoderUs: after.encoderUs - before.encoderUs,
});
