const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

const BYTE_SIZE = /^(\d+(?:\.\d+)?) ?(B|KiB|MiB|GiB|TiB)$/;

/** Bytes of "512MiB", "1.5GiB"; null when it is none of that form, or no whole number of bytes. */
export function parseByteSize(text: string): number | null {
  const [, amount, unit] = BYTE_SIZE.exec(text) ?? [];
  if (amount === undefined || unit === undefined) return null;
  const bytes = Number(amount) * (UNITS[unit] ?? Number.NaN);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** The shortest exact spelling of a size, in the largest unit that divides it. */
export function formatByteSize(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB'] as const) {
    const size = UNITS[unit] ?? 1;
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes}B`;
}
