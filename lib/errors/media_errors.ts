import { EXIT, type ErrorEntry } from './entry.js';

/** Errors of sources, streams and pictures. */
export const MEDIA_ERRORS = {
  // ---- sources
  SOURCE_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    exit: EXIT.noInput,
    retryable: true,
    remedy: 'Check the path, address or device in streams.<name>.source.',
  },
  SOURCE_UNREACHABLE: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Check that the camera is on, its address and port, and the network between.',
  },
  SOURCE_AUTH: {
    grpc: 'UNAUTHENTICATED',
    exit: EXIT.permission,
    retryable: true,
    remedy: 'Correct the user and password in streams.<name>.source.',
  },
  SOURCE_UNREADABLE: {
    grpc: 'PERMISSION_DENIED',
    exit: EXIT.permission,
    retryable: false,
    remedy: 'Give the user of ingest read access to the file or device.',
  },
  SOURCE_UNSUPPORTED: {
    grpc: 'UNIMPLEMENTED',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Choose a source that has video which GStreamer decodes here; "framebus doctor" shows what is there.',
  },
  NVDEC_UNAVAILABLE: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy:
      'Nothing has to be done: the stream works, with more CPU time. docs/cuda.md says what NVDEC needs and which codecs it has.',
  },
  SOURCE_BROKEN: {
    grpc: 'DATA_LOSS',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Check the file with "ffprobe FILE"; copy or encode it anew.',
  },
  SOURCE_STALLED: {
    grpc: 'DEADLINE_EXCEEDED',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Check the camera; raise no_frame_timeout if it is meant to be slow.',
  },
  SOURCE_FAILED: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Try the source with "gst-launch-1.0 uridecodebin uri=URI ! fakesink".',
  },

  // ---- streams and pictures
  STREAM_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    exit: EXIT.noInput,
    retryable: false,
    remedy: 'Use one of the names under streams: in the configuration.',
  },
  STREAM_NO_PICTURE: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.temporary,
    retryable: true,
    remedy: 'Wait for the first frame; "framebus status" shows how the stream is.',
  },
  TILES_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    exit: EXIT.noInput,
    retryable: false,
    remedy: 'Use one of the names under sink.tiles: in the configuration.',
  },
  TILES_NO_PICTURE: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.temporary,
    retryable: true,
    remedy: 'Try again in a second; the log of sink says why when it has no encoder.',
  },
  OUTPUT_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    exit: EXIT.noInput,
    retryable: false,
    remedy: 'Use one of the names under outputs: of the stream, or none for the annotated pictures.',
  },
  VIEWERS_FULL: {
    grpc: 'RESOURCE_EXHAUSTED',
    exit: EXIT.temporary,
    retryable: true,
    remedy: 'Close other browser windows, or watch by RTSP.',
  },
  VIEW_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Its connection has ended; GET /api/bundles opens another one.',
  },
  OUTPUT_FAILED: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: true,
    remedy: 'See the cause in the message; "framebus doctor" checks the encoder.',
  },
  OUTPUT_FORMAT: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Choose a source with a picture size that the encoder takes.',
  },
  OUTPUT_CLOSED: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.software,
    retryable: false,
    remedy: 'Nothing to do while a service ends; otherwise please report it with the log.',
  },
  ENCODER_FAILED: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: true,
    remedy: 'See the cause in the message; "framebus doctor" shows which encoders are there.',
  },
  ENCODER_MISSING: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy: 'Set sink.encode.encoder: auto, or install what is missing; "framebus doctor" shows what is there.',
  },
  JPEG_FAILED: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: true,
    remedy: 'See the cause in the message; "framebus doctor" shows whether the JPEG library is there.',
  },
  RTSP_PASSWORD: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.config,
    retryable: false,
    remedy: 'Write one line of at most 128 bytes into the file, readable for the sink only.',
  },
  RTSP_TLS: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.config,
    retryable: false,
    remedy: 'Name a PEM certificate and its private key, without a passphrase, in sink.rtsp.tls, readable for the sink.',
  },
  RTSP_MOUNT: {
    grpc: 'ALREADY_EXISTS',
    exit: EXIT.software,
    retryable: false,
    remedy: 'This is a mistake in framebus: please report it with the log.',
  },
  RECORDING_FAILED: {
    grpc: 'INTERNAL',
    exit: EXIT.io,
    retryable: true,
    remedy: 'Make room, or let the user of sink write there (sink.recordings.root); recording goes on by itself.',
  },
  RECORDING_SLOW: {
    grpc: 'RESOURCE_EXHAUSTED',
    exit: EXIT.io,
    retryable: true,
    remedy: 'Record on a faster disk, fewer streams, or with less sink.encode.bitrate_kbps; nothing else suffers.',
  },
  VIEWER_FAILED: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: true,
    remedy: 'Load the page again; see the cause in the message.',
  },
} as const satisfies Record<string, ErrorEntry>;
