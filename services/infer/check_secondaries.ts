import type { StreamConfig } from '../../lib/config.js';
import { FramebusError } from '../../lib/errors.js';
import type { ModelManifest } from '../../models/manifest.js';

/**
 * Refuses secondary models that could never say anything. @throws CONFIG_INVALID
 *
 * @param manifestOf of a served model
 */
export function checkSecondaries(
  { id, model, secondary }: Pick<StreamConfig, 'id' | 'model' | 'secondary'>,
  manifestOf: (model: string) => Pick<ModelManifest, 'name' | 'task' | 'labels'>,
): void {
  for (const [index, one] of secondary.entries()) {
    const key = `streams.${id}.secondary[${index}]`;
    const { task, name } = manifestOf(one.model);
    if (task !== 'classify' && task !== 'detect') {
      throw new FramebusError('CONFIG_INVALID', `${key}.model: task of ${name} is ${task}; must be classify or detect`, {
        remedy: 'Name a model of another task; models/README.md tells of tasks.',
      });
    }
    const parent = model === null ? null : manifestOf(model);
    if (parent?.task !== 'detect') {
      const what = parent === null ? 'has no model' : `has a model with task ${parent.task}`;
      throw new FramebusError('CONFIG_INVALID', `${key}: stream "${id}" ${what}; secondary models look at detections`, {
        remedy: 'Give the stream a model with task detect, or take secondary away.',
      });
    }
    const known = new Set(parent.labels.values());
    const unknown = one.labels.filter((label) => !known.has(label));
    if (unknown.length === 0) continue;
    throw new FramebusError(
      'CONFIG_INVALID',
      `${key}.labels: ${unknown.map((label) => `"${label}"`).join(', ')}: model ${parent.name}, whose detections it looks at, has no such label`,
      { remedy: `Use some of: ${[...known].join(', ')}.` },
    );
  }
}
