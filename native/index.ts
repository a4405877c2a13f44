/**
 * The only door to the addon. It is loaded at the first call, so that programs
 * can say what is missing instead of failing while they are imported.
 *
 * Errors carry the codes of the contract; see errors.ts.
 */
import type { Addon } from './contract.js';
import { loadAddon } from './load.js';

export type * from './contract.js';
export { AddonLoadError, isNativeError } from './errors.js';
export { addonPath } from './load.js';

let loaded: Addon | undefined;

function addon(): Addon {
  loaded ??= loadAddon();
  return loaded;
}

export const monotonicNs: Addon['monotonicNs'] = () => addon().monotonicNs();
export const probeMedia: Addon['probeMedia'] = (elements) => addon().probeMedia(elements);
export const probeMemory: Addon['probeMemory'] = (memory) => addon().probeMemory(memory);
export const probeCudaPreprocess: Addon['probeCudaPreprocess'] = () => addon().probeCudaPreprocess();
export const createBusServer: Addon['createBusServer'] = (options, listener) =>
  addon().createBusServer(options, listener);
export const createProducerPool: Addon['createProducerPool'] = (server, options) =>
  addon().createProducerPool(server, options);
export const createSource: Addon['createSource'] = (server, options, listener) =>
  addon().createSource(server, options, listener);
export const createBusConsumer: Addon['createBusConsumer'] = (options, listener) =>
  addon().createBusConsumer(options, listener);
export const preprocess: Addon['preprocess'] = (frames, spec, tensor) => addon().preprocess(frames, spec, tensor);
export const preprocessPlanes: Addon['preprocessPlanes'] = (format, planes, spec, tensor) =>
  addon().preprocessPlanes(format, planes, spec, tensor);
export const probeEngine: Addon['probeEngine'] = (library, device) => addon().probeEngine(library, device);
export const openEngine: Addon['openEngine'] = (options) => addon().openEngine(options);
export const argmax: Addon['argmax'] = (scores, channels, cells, layout, into) =>
  addon().argmax(scores, channels, cells, layout, into);
export const chooseEncoder: Addon['chooseEncoder'] = (wanted) => addon().chooseEncoder(wanted);
export const createOutput: Addon['createOutput'] = (options, listener) => addon().createOutput(options, listener);
export const createRtspServer: Addon['createRtspServer'] = (options, listener) => addon().createRtspServer(options, listener);
export const createRecording: Addon['createRecording'] = (output, options, listener) =>
  addon().createRecording(output, options, listener);
export const createClipCache: Addon['createClipCache'] = (output, options) => addon().createClipCache(output, options);
export const createTiler: Addon['createTiler'] = (output, options) => addon().createTiler(output, options);
export const inspectMediaFile: Addon['inspectMediaFile'] = (path) => addon().inspectMediaFile(path);
export const joinFile: Addon['joinFile'] = (options) => addon().joinFile(options);
