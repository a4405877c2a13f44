import { rename, writeFile } from 'node:fs/promises';

/** Writes a file beside its place and moves it there, so that nobody reads half of it. */
export async function writeWhole(file: string, data: string | Uint8Array): Promise<void> {
  const part = `${file}.part`;
  await writeFile(part, data, { mode: 0o640 });
  await rename(part, file);
}
