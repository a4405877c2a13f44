import { describe, expect, test } from 'vitest';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig, parseConfig, type Config } from '../../../lib/config.js';
import { FramebusError } from '../../../lib/errors.js';
import { tempFolder } from '../../helpers/temp.js';

const parse = (text: string, env: Record<string, string> = {}): Config => parseConfig(text, '/etc/framebus.yaml', env);

/** The lines that a wrong file gives. */
function problems(text: string): string[] {
  try {
    parseConfig(text, 'f.yaml', {});
  } catch (error) {
    if (error instanceof FramebusError && error.code === 'CONFIG_INVALID') return error.message.split('\n');
    throw error;
  }
  return [];
}

const WITH_STREAM = 'streams: {gate: {source: /clip.mp4}}\n';

describe('a right file', () => {
  test('needs no more than a stream', () => {
    const config = parse(WITH_STREAM);
    expect(config.streams).toEqual([
      {
        id: 'gate',
        source: 'file:///clip.mp4',
        loop: false,
        pace: 'realtime',
        model: 'ssdlite-mobilenet-v2',
        mode: 'latest',
        interval: 0,
        labels: [],
        minConfidence: null,
        thresholds: {},
        region: null,
        secondary: [],
        outputs: [],
        tracker: { kind: 'byte', highConfidence: 0.6, lowConfidence: 0.1, newConfidence: null, minOverlap: null, inertia: 0.2, lostMs: 2000, confirmHits: 3 },
        osd: {
          color: 'class',
          label: ['name', 'confidence', 'attributes'],
          lineWidth: 0,
          fontSize: 0,
          objects: true,
          trailsMs: 0,
          clock: false,
          text: '',
          conceal: { labels: [], with: 'blur' },
          shapes: [],
        },
        record: { enabled: false, folder: 'gate', segmentMs: 600_000, maxBytes: 2 ** 31, keepMs: 86_400_000, sidecar: true, output: null },
        events: { enabled: false, folder: 'gate/events', preRollMs: 5_000, postRollMs: 5_000, maxLengthMs: 300_000, cacheBytes: 2 ** 25, keepMs: 604_800_000, rules: [] },
        memory: 'auto',
        slots: 16,
        transport: 'tcp',
        noFrameTimeoutMs: 10_000,
        reconnect: { initialMs: 1_000, maxMs: 30_000 },
      },
    ]);
    expect(config.ingest).toEqual({
      name: 'ingest-0',
      http: { host: '127.0.0.1', port: 9101 },
      grpc: { host: '127.0.0.1', port: 50053 },
      deliveryTtlMs: 2_000,
      inFlight: 2,
      decoderThreads: 0,
    });
    expect(config.sink.grpc).toEqual({ host: '127.0.0.1', port: 50_051 });
    expect(config.nats.url).toBe('nats://127.0.0.1:4222');
  });

  test('a stream overrides what defaults say, null included', () => {
    const { streams } = parse(`
defaults: {model: yolox-nano, min_confidence: 0.5, slots: 20, reconnect: {initial: 2s}}
streams:
  a: {source: rtsp://10.0.0.9/1, reconnect: {max: 1m}, interval: 3, labels: [person]}
  b: {source: rtsp://10.0.0.9/2, model: null, min_confidence: null, no_frame_timeout: 0}
`);
    expect(streams[0]).toMatchObject({
      model: 'yolox-nano',
      minConfidence: 0.5,
      slots: 20,
      interval: 3,
      labels: ['person'],
      reconnect: { initialMs: 2_000, maxMs: 60_000 },
    });
    expect(streams[1]).toMatchObject({ model: null, minConfidence: null, noFrameTimeoutMs: 0 });
  });

  test('sections that are left empty mean their defaults', () => {
    expect(parse(`log:\nsink:\n  http:\n${WITH_STREAM}`)).toEqual(parse(WITH_STREAM));
  });

  test('anchors and merge keys save typing', () => {
    const { streams } = parse(`
streams:
  a: &camera {source: rtsp://10.0.0.9/1, slots: 5}
  b: {<<: *camera, source: rtsp://10.0.0.9/2}
`);
    expect(streams.map(({ source, slots }) => `${source} ${slots}`)).toEqual([
      'rtsp://10.0.0.9/1 5',
      'rtsp://10.0.0.9/2 5',
    ]);
  });

  test('paths are taken from the folder of the file', () => {
    const config = parse('models: {directory: m, cache: c}\nbus: {directory: b}\nstreams: {a: {source: clips/a b.mp4}}');
    expect(config.models).toEqual({ directory: '/etc/m', cache: '/etc/c', watch: true });
    expect(config.bus.directory).toBe('/etc/b');
    expect(config.streams[0]?.source).toBe('file:///etc/clips/a%20b.mp4');
  });

  test('the environment overrides the NATS server and the cache', () => {
    const config = parse(WITH_STREAM, { NATS_URL: 'nats://n:1', FRAMEBUS_CACHE: '/var/c' });
    expect(config.nats.url).toBe('nats://n:1');
    expect(config.models.cache).toBe('/var/c');
  });

  test('the environment is checked as the file is', () => {
    expect(() => parse(WITH_STREAM, { NATS_URL: 'http://joe:secret@n' })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(/^NATS_URL: must be "embedded" or .*, is "http:\/\/\*\*\*@n"$/) as string,
      }),
    );
    expect(parse(WITH_STREAM, { FRAMEBUS_LOG_FORMAT: 'text' }).log.format).toBe('text');
    expect(() => parse(WITH_STREAM, { FRAMEBUS_LOG_FORMAT: 'xml' })).toThrow('must be auto, text or json, is "xml"');
  });

  test('the bus lies in the runtime folder of the user, where there is one', () => {
    const runtime = tempFolder();
    expect(parse(WITH_STREAM, { XDG_RUNTIME_DIR: runtime }).bus.directory).toBe(join(runtime, 'framebus'));
    expect(parse(WITH_STREAM, { XDG_RUNTIME_DIR: '/no/such' }).bus.directory).toMatch(/framebus/);
  });

  test('nobody can change it, and it survives JSON', () => {
    const config = parse(WITH_STREAM);
    expect(JSON.parse(JSON.stringify(config))).toEqual(config);
    expect(() => {
      (config.sink.http as { port: number }).port = 1;
    }).toThrow(TypeError);
    expect(Object.isFrozen(config.streams[0])).toBe(true);
  });
});

describe('a wrong file', () => {
  test('gives every problem at once, in the order of the file, with its line', () => {
    expect(
      problems(`log: {level: chatty}
ingest:
  delivery_ttl: 2
  in_flight: 0
sink:
  encode:
    bitrate: 3
  grpc: {port: 8080}
streams:
  gate:
    sorce: /x
  side:
    source: rstp://x
    labels: person
  my gate: {source: /x}
`),
    ).toEqual([
      'f.yaml:1: log.level: must be one of trace, debug, info, warn, error, is "chatty"',
      'f.yaml:3: ingest.delivery_ttl: a duration needs a unit (ms, s, m, h, d), is 2; for example "2s"',
      'f.yaml:4: ingest.in_flight: must be a whole number from 1 to 64, is 0',
      'f.yaml:7: sink.encode.bitrate: unknown key; did you mean "bitrate_kbps"?',
      'f.yaml:8: sink.grpc.port: port 8080 is already that of sink.http.port',
      'f.yaml:10: streams.gate.source: is missing: give a path or a URI such as rtsp://camera/stream',
      'f.yaml:11: streams.gate.sorce: unknown key; did you mean "source"?',
      expect.stringMatching(/^f\.yaml:13: streams\.side\.source: unknown scheme "rstp:\/\/"; did you mean "rtsp:\/\/"\?/),
      'f.yaml:14: streams.side.labels: must be a list, is "person"',
      'f.yaml:15: streams.my gate: the name of a stream must be 1 to 64 of A-Z a-z 0-9 _ -',
    ]);
  });

  test.each([
    ['a number that is text', 'sink: {max_held: "9"}', 'f.yaml:1: sink.max_held: must be a number, is "9"'],
    ['a port out of range', 'sink: {http: {port: 70000}}', 'f.yaml:1: sink.http.port: must be a whole number from 0 to 65535, is 70000'],
    ['a broken number', 'sink: {http: {port: 80.5}}', 'f.yaml:1: sink.http.port: must be a whole number from 0 to 65535, is 80.5'],
    ['a host that is none', 'sink: {http: {host: "a b"}}', 'f.yaml:1: sink.http.host: must be an IP address or host name, is "a b"'],
    ['a boolean that is text', 'streams: {a: {source: /x, loop: "yes"}}', 'f.yaml:1: streams.a.loop: must be true or false, is "yes"'],
    ['a section that is a number', 'sink: {http: 3}', 'f.yaml:1: sink.http: must be a section with keys, is 3'],
    ['a duration too long', 'ingest: {delivery_ttl: 2h}', 'f.yaml:1: ingest.delivery_ttl: must be from 10ms to 1m, is "2h"'],
    ['a duration that is none', 'ingest: {delivery_ttl: soon}', 'f.yaml:1: ingest.delivery_ttl: must be a duration such as "250ms" or "2s", from 10ms to 1m, is "soon"'],
    ['an item of a list', 'bus: {allow_uids: [0, -1]}', 'f.yaml:1: bus.allow_uids[1]: must be a whole number from 0 to 4294967294, is -1'],
    ['an unknown section', 'snik: {}', 'f.yaml:1: snik: unknown key; did you mean "sink"?'],
    ['a key that is like no other', 'nats: {colour: red}', 'f.yaml:1: nats.colour: unknown key; known here: url'],
    ['a wrong NATS scheme', 'nats: {url: "http://x"}', 'f.yaml:1: nats.url: must be "embedded" or one or more nats://host:port or tls://host:port, separated by commas, is "http://x"'],
    ['a producer name that is no file name', 'ingest: {name: A/B}', 'f.yaml:1: ingest.name: must be 1 to 64 of a-z 0-9 -, because it names a socket, is "A/B"'],
    ['lossless from a camera', 'streams: {a: {source: "rtsp://c/1", mode: lossless}}', 'f.yaml:1: streams.a.mode: lossless is for files: a live source cannot wait; use latest'],
    ['lossless by default from a device', 'defaults: {mode: lossless}\nstreams: {a: {source: /dev/video0}}', 'f.yaml:2: streams.a.mode: lossless is for files: a live source cannot wait; use latest'],
    ['a camera that loops', 'streams: {a: {source: "rtsp://c/1", loop: true}}', 'f.yaml:1: streams.a.loop: is for files: a live source has no end to start again from'],
    ['weak above strong', 'streams: {a: {source: /c.mp4, tracker: {low_confidence: 0.7}}}', 'f.yaml:1: streams.a.tracker.high_confidence: must not be less than low_confidence'],
    [
      'tracks of what is weak',
      'defaults: {tracker: {high_confidence: 0.7}}\nstreams: {a: {source: /c.mp4, tracker: {new_confidence: 0.65}}}',
      'f.yaml:2: streams.a.tracker.new_confidence: must not be less than high_confidence',
    ],
    ['an inverted backoff', 'defaults: {reconnect: {initial: 1m}}', 'f.yaml:1: defaults.reconnect.max: must not be less than initial'],
    ['a recording that would leave its root', 'streams: {a: {source: /x, record: {folder: ../a}}}', 'f.yaml:1: streams.a.record.folder: must be a folder below the root such as "{stream}" or "yard/{stream}": A-Z a-z 0-9 _ - . and no leading dot, is "../a"'],
    ['a recording in an absolute folder', 'streams: {a: {source: /x, record: {folder: /var/a}}}', 'f.yaml:1: streams.a.record.folder: must be a folder below the root such as "{stream}" or "yard/{stream}": A-Z a-z 0-9 _ - . and no leading dot, is "/var/a"'],
    ['two recordings in one folder', 'defaults: {record: {enabled: true, folder: all}}\nstreams: {a: {source: /x}, b: {source: /y}}', 'f.yaml:2: streams.b.record.folder: folder "all" is already that of a'],
    ['a file URI with two slashes', 'streams: {a: {source: "file://clip.mp4"}}', 'f.yaml:1: streams.a.source: must have three slashes and a full path, such as file:///clip.mp4, is "file://clip.mp4"'],
    ['an RTSP key without its certificate', 'sink: {rtsp: {tls: {key_file: k}}}', 'f.yaml:1: sink.rtsp.tls: cert_file is missing: it and key_file go together'],
    ['TLS over UDP', 'sink: {rtsp: {transports: [udp], tls: {cert_file: c, key_file: k}}}', 'f.yaml:1: sink.rtsp.transports: udp is not for TLS: pictures over UDP are not encrypted; use [tcp]'],
    ['an RTSP user twice', 'sink: {rtsp: {users: [{name: joe, password_file: a}, {name: joe, password_file: b}]}}', 'f.yaml:1: sink.rtsp.users: joe is there twice'],
    ['an RTSP user with a colon', 'sink: {rtsp: {users: [{name: "a:b", password_file: a}]}}', 'f.yaml:1: sink.rtsp.users[0].name: must be 1 to 64 of A-Z a-z 0-9 _ . @ -, is "a:b"'],
    ['no RTSP transport', 'sink: {rtsp: {transports: []}}', 'f.yaml:1: sink.rtsp.transports: must name tcp, udp or both'],
  ])('%s', (_what, text, line) => {
    const whole = text.includes('streams:') ? text : `${text}\n${WITH_STREAM}`;
    expect(problems(whole)).toEqual([line]);
  });

  test('keys that stand twice are named, next to all other problems', () => {
    expect(problems(`log: {level: loud}\nsink:\n  name: a\n  name: b\n${WITH_STREAM}`)).toEqual([
      'f.yaml:1: log.level: must be one of trace, debug, info, warn, error, is "loud"',
      'f.yaml:4: key "name" stands twice in the same section; remove one',
    ]);
  });

  test.each([
    ['nothing at all', '', 'f.yaml:1: streams: is missing: name at least one stream and its source'],
    ['no streams', 'log: {level: info}', 'f.yaml:1: streams: is missing: name at least one stream and its source'],
    ['streams without any', 'streams: {}', 'f.yaml:1: streams: is empty: name at least one stream and its source'],
    ['streams that are null', '\nstreams:\n', 'f.yaml:2: streams: is empty: name at least one stream and its source'],
    ['a stream that is null', 'streams: {gate: }', 'f.yaml:1: streams.gate.source: is missing: give a path or a URI such as rtsp://camera/stream'],
    ['a list', '- a\n- b', 'f.yaml:1: must be a section with keys, is ["a","b"]'],
    ['broken YAML', 'a: [1\nb: 2', expect.stringMatching(/^f\.yaml:2: not valid YAML: Flow sequence/)],
    ['an alias to nowhere', 'streams: *none', expect.stringMatching(/^f\.yaml:1: not valid YAML: /)],
  ])('%s', (_what, text, line) => {
    expect(problems(text)).toEqual([line]);
  });

  test('a value with credentials is shown without them', () => {
    const [line] = problems('nats: {url: "http://joe:secret@host"}\nstreams: {a: {source: /x}}');
    expect(line).toContain('http://***@host');
    expect(line).not.toContain('secret');
  });

  test('a number of aliases that would explode is refused', () => {
    const levels = Array.from({ length: 9 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`);
    expect(problems(`l0: &l0 [x]\n${levels.join('\n')}\n${WITH_STREAM}`)[0]).toMatch(/not valid YAML: .*alias/i);
  });
});

describe('files that cannot be read', () => {
  test('a missing one, and a folder', () => {
    const folder = tempFolder();
    expect(() => loadConfig(join(folder, 'no.yaml'))).toThrow(
      expect.objectContaining({ code: 'CONFIG_NOT_FOUND', message: `${join(folder, 'no.yaml')}: no such file` }),
    );
    expect(() => loadConfig(folder)).toThrow(
      expect.objectContaining({ code: 'CONFIG_UNREADABLE', message: `${folder}: is a folder, not a file` }),
    );
  });

  test('one that is there is read', () => {
    const file = join(tempFolder(), 'framebus.yaml');
    writeFileSync(file, WITH_STREAM);
    expect(loadConfig(file).streams[0]?.id).toBe('gate');
  });
});
