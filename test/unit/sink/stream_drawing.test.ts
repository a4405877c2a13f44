import { describe, expect, it } from 'vitest';
import { parseConfig, type OsdConfig } from '../../../lib/config.js';
import { StreamDrawing } from '../../../services/sink/stream_drawing.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';

const osd = (text: string): OsdConfig => parseConfig(`defaults: {osd: ${text}}\nstreams: {a: {source: /c.mp4}}`, 'f.yaml', {}).defaults.osd;

const record = (ms: number, more: Parameters<typeof DetectionRecord.fromPartial>[0] = {}): DetectionRecord =>
  DetectionRecord.fromPartial({
    width: 640,
    height: 480,
    captureTime: { unixNs: BigInt(ms) * 1_000_000n },
    status: InferenceStatus.INFERENCE_STATUS_INFERRED,
    detections: [{ label: 'face', confidence: 0.5, trackId: (9n << 32n) | 12n, box: { x: ms, y: 2, width: 30, height: 40 } }],
    ...more,
  });

describe('StreamDrawing', () => {
  it('draws objects alone by default', () => {
    const drawing = new StreamDrawing(osd('{}'));
    drawing.next(record(0), 0n);
    const { boxes, ...rest } = drawing.next(record(40), 40n);
    expect(boxes.map(({ label }) => label)).toEqual(['face 50 %']);
    expect(rest).toEqual({ concealed: [], masks: [], lines: [], points: [], texts: [], lineWidth: 0, fontSize: 0 });
  });

  it('puts together what the configuration asks for', () => {
    const drawing = new StreamDrawing(
      osd(`{label: [name, track], trails: 1s, clock: true, text: North gate, line_width: 4, font_size: 20, conceal: {labels: [face], with: fill},
            shapes: [{kind: line, points: [[0, 0.5], [1, 0.5]], label: stop}]}`),
    );
    drawing.next(record(1_000), 0n);
    const overlay = drawing.next(record(1_999), 40n);
    expect(overlay.boxes.map(({ label }) => label)).toEqual(['face #12']);
    expect(overlay.lines.map(({ xy }) => [...xy])).toEqual([
      [0, 240, 640, 240],
      [1015, 42, 2014, 42],
    ]);
    expect(overlay.texts).toEqual([
      { x: 640, y: 0, text: '1970-01-01 00:00:01 UTC', color: 0x202020 },
      { x: 0, y: 0, text: 'North gate', color: 0x202020 },
      { x: 0, y: 240, text: 'stop', color: 0xffffff },
    ]);
    expect(overlay.concealed).toEqual([{ x: 1996, y: -2, width: 36, height: 48, with: 'fill' }]);
    expect([overlay.lineWidth, overlay.fontSize]).toEqual([4, 20]);
  });

  it('conceals what it does not draw', () => {
    const drawing = new StreamDrawing(osd('{objects: false, conceal: {labels: [face]}}'));
    const { boxes, concealed } = drawing.next(record(40), 40n);
    expect(boxes).toEqual([]);
    expect(concealed).toHaveLength(1);
  });

  it('fits shapes to the size of the picture', () => {
    const drawing = new StreamDrawing(osd('{shapes: [{kind: line, points: [[0, 0.5], [1, 0.5]]}]}'));
    drawing.next(record(0), 0n);
    expect(drawing.next(record(40, { width: 64, height: 48 }), 40n).lines.map(({ xy }) => [...xy])).toEqual([[0, 24, 64, 24]]);
  });
});
