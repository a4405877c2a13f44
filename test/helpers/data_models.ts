import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { MODELS_DIRECTORY } from '../../models/find.js';
import { hasTestData, TEST_DATA } from './data.js';
import { tempFolder } from './temp.js';

/** Model files of the shared test data, by the name of framebus's manifest for them. */
const FILES: Readonly<Record<string, string>> = {
  'yolox-nano-416': 'models/yolox_nano_416.onnx',
  'yolox-nano-640': 'models/yolox_nano_640.onnx',
  'lightweight-person-detector': 'models/lightweight_person_detector.onnx',
};

/** Path of the model file in the shared test data; null when it is not there. */
export function dataModelFile(name: string): string | null {
  const file = FILES[name];
  return file !== undefined && hasTestData(file) ? path.join(TEST_DATA, file) : null;
}

/**
 * A folder with framebus's own manifests, in which the models that the shared
 * test data has are taken from there instead of from the network; their
 * checksums are still looked at. For `models.directory`; removed with the test.
 */
export function dataModels(): string {
  const folder = tempFolder();
  for (const entry of readdirSync(MODELS_DIRECTORY).filter((name) => name.endsWith('.yaml'))) {
    const text = readFileSync(path.join(MODELS_DIRECTORY, entry), 'utf8');
    const local = dataModelFile(path.basename(entry, '.yaml'));
    const source = local === null ? text : text.replace(/^ {2}url: .*$/m, `  file: ${JSON.stringify(local)}`);
    writeFileSync(path.join(folder, entry), source);
  }
  return folder;
}
