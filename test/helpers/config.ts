import { parseConfig, type Config } from '../../lib/config.js';
import { codeOf, messageOf } from '../../lib/errors.js';

/** A configuration, whatever the environment says. */
export const parse = (text: string): Config => parseConfig(text, 'f.yaml', {});

/** What is said of a wrong configuration; empty when nothing is wrong. */
export function configProblem(text: string): string {
  try {
    parse(text);
  } catch (error) {
    if (codeOf(error) === 'CONFIG_INVALID') return messageOf(error);
    throw error;
  }
  return '';
}
