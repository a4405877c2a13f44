const UNITS = ['KiB', 'MiB', 'GiB'] as const;

/** A number of bytes for people: "17 B", "3.7 MiB". */
export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${Math.round(bytes)} B`;
  let value = bytes / 1024;
  let unit = 0;
  for (; value >= 1023.95 && unit < UNITS.length - 1; unit++) value /= 1024;
  return `${value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}
