import type { NatsConnection, Subscription } from 'nats';
import { messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import { LogLimit } from '../../lib/log_limit.js';
import { decodeTrackHints } from '../../lib/messages.js';
import { ALL_TRACKS } from '../../lib/subjects.js';
import type { TrackMemory } from './track_memory.js';

/** Hears what sink tells of the objects that it follows. Ends with the connection. */
export function subscribeTracks(nats: NatsConnection, tracks: TrackMemory, log: Log): Subscription {
  const limit = new LogLimit();
  return nats.subscribe(ALL_TRACKS, {
    callback: (error, message) => {
      if (error !== null) return;
      try {
        tracks.hear(decodeTrackHints(message.data));
      } catch (cause) {
        const skipped = limit.take(message.subject);
        if (skipped !== null) log.warn({ subject: message.subject, skipped }, `a message was dropped: ${messageOf(cause)}`);
      }
    },
  });
}
