/** Labels mean the same in capitals, and with spaces around them. */
export const plainLabel = (label: string): string => label.trim().toLowerCase();

/** What decides whether that which is to be concealed is reported. */
export interface ConcealedLabels {
  /** `labels` of the stream; empty keeps all. */
  kept: readonly unknown[];
  /** `secondary`: what these report is not filtered by labels. */
  secondary: readonly unknown[];
  /** `osd.conceal.labels`. */
  concealed: readonly unknown[];
}

/** What is wrong with the labels that a stream keeps: one that is left out would never be concealed, and nobody would know. null: nothing. */
export function concealProblem({ kept, secondary, concealed }: ConcealedLabels): string | null {
  if (kept.length === 0 || secondary.length > 0) return null;
  const known = new Set(kept.map((label) => plainLabel(String(label))));
  const lost = concealed.map(String).filter((label) => !known.has(plainLabel(label)));
  if (lost.length === 0) return null;
  return `must keep ${lost.join(', ')}, which osd.conceal.labels names: what is not reported cannot be concealed`;
}
