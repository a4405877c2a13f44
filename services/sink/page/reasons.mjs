/**
 * Why a frame was dropped, or was not looked at, in words. `shown`: it is in the video all the
 * same, so nothing is lost but the look at it.
 * @type {Record<string, {words: string, why: string, shown: boolean}>}
 */
export const REASONS = {
  pool_exhausted: {
    words: 'no free slot',
    why: 'All slots of the stream were in use when the source had a picture. Something behind the decoder is slow, or the stream needs more slots.',
    shown: false,
  },
  skipped: {
    words: 'left out on purpose',
    why: 'The interval of the stream lets only every n-th picture be looked at.',
    shown: true,
  },
  overloaded: {
    words: 'inference busy',
    why: 'As many pictures of the stream as are allowed were in inference already. A larger interval, a smaller model or another worker helps.',
    shown: true,
  },
  superseded: {
    words: 'a newer picture came first',
    why: 'No worker was free before the next picture came. A live stream looks at the newest one.',
    shown: true,
  },
  expired: {
    words: 'no worker in time',
    why: 'No worker took the picture within its time. Does infer run, and does it serve the model of this stream?',
    shown: true,
  },
  worker_lost: {
    words: 'worker lost',
    why: 'The worker that had the picture has ended or was cut off.',
    shown: true,
  },
  failed: {
    words: 'model failed',
    why: 'The model could not be run on the picture. The log of infer says why.',
    shown: true,
  },
  late: {
    words: 'result too late',
    why: 'The result came when newer pictures had gone out already.',
    shown: false,
  },
  duplicate: {
    words: 'second result',
    why: 'The picture had a result already. Harmless after a worker was lost.',
    shown: false,
  },
  stale: {
    words: 'picture gone',
    why: 'The picture was overwritten before it could be drawn: its result took too long.',
    shown: false,
  },
  encoder_full: {
    words: 'encoder busy',
    why: 'The encoder is slower than the stream. A faster preset, a smaller picture or a hardware encoder helps.',
    shown: false,
  },
  encoder_failed: {
    words: 'encoder failed',
    why: 'The encoder gave up and is made anew. The log of sink says why.',
    shown: false,
  },
  unknown_version: {
    words: 'unknown message version',
    why: 'The services are of different versions of framebus.',
    shown: false,
  },
};

/**
 * Reasons that have a count, the largest first.
 * @param {Record<string, number>} drops
 */
export function countedReasons(drops) {
  const counted = Object.entries(drops).filter(([, count]) => count > 0);
  counted.sort((a, b) => b[1] - a[1]);
  return counted.map(([key, count]) => {
    const { words, why, shown } = REASONS[key] ?? { words: key.replaceAll('_', ' '), why: '', shown: false };
    return { key, count, words, why, shown };
  });
}
