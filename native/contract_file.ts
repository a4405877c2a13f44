/** What the addon offers for files of video; the rules are those of contract.ts. */

export type Container = 'mp4' | 'matroska';

/** One track of sound as it stands in a file. */
export interface SoundTrack {
  /** For people: "AAC", or GStreamer's name where there is none. */
  name: string;
  /** Containers that hold it as it is. */
  containers: Container[];
}

export interface MediaFile {
  width: number;
  height: number;
  /** Nominal rate; 0/1 when the file does not say, or the rate varies. */
  frameRateNumerator: number;
  frameRateDenominator: number;
  /** null: the file does not say. */
  durationNs: bigint | null;
  /** GStreamer's running time of the first picture … */
  picturesAtNs: bigint;
  /** … and of the earliest picture or sound. */
  beginsAtNs: bigint;
  sound: SoundTrack[];
}

export interface JoinOptions {
  /** MP4 files as Recording writes them, in order. */
  recorded: string[];
  /** When each of their pictures shows, in nanoseconds; rising. */
  timesNs: BigUint64Array;
  /** File whose sound is taken over … */
  sound: string;
  /** … and tracks of sound that MediaFile says it has; 0: none is taken over. */
  soundTracks: number;
  /** Running time in that file that is 0 in the joined one. */
  soundFromNs: bigint;
  /** As of MediaFile. */
  frameRateNumerator: number;
  frameRateDenominator: number;
  container: Container;
  /** Is written over. */
  file: string;
}

/** A file that is being written. */
export interface FileJoin {
  /** Rejects with JOIN_FAILED, FILE_UNWRITABLE, CANCELLED; what was written by then stays. */
  readonly finished: Promise<void>;
  cancel(): void;
}

export interface FileAddon {
  /**
   * Decodes the first picture of a file and says what else is in it. Rejects with
   * SOURCE_NOT_FOUND, SOURCE_UNREADABLE, SOURCE_UNSUPPORTED, SOURCE_BROKEN.
   */
  inspectMediaFile(path: string): Promise<MediaFile>;
  /** One file of recorded pictures and the sound of another; nothing is encoded anew. */
  joinFile(options: JoinOptions): FileJoin;
}
