/** Child process of bare_engine.ts: `node engine_loop.js FILE THREADS FRAMES` prints CPU ms a frame. */
import ort from 'onnxruntime-node';

const [file = '', threads = '0', frames = '0'] = process.argv.slice(2);
const session = await ort.InferenceSession.create(file, {
  intraOpNumThreads: Number(threads),
  interOpNumThreads: 1,
  extra: { session: { intra_op: { allow_spinning: '0' } } },
});
const [input] = session.inputMetadata;
if (input === undefined || !input.isTensor) throw new Error(`${file}: its first input is no tensor`);
const shape = input.shape.map((n) => (typeof n === 'number' && n > 0 ? n : 1));
const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).map(() => Math.random() * 255);
const feeds = { [input.name]: new ort.Tensor('float32', data, shape) };
for (let i = 0; i < 5; i++) await session.run(feeds);
const before = process.cpuUsage();
for (let i = 0; i < Number(frames); i++) await session.run(feeds);
const used = process.cpuUsage(before);
process.stdout.write(`${(used.user + used.system) / 1000 / Number(frames)}\n`);
