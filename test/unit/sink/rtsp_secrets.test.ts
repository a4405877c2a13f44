import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readCertificate, readPassword } from '../../../services/sink/rtsp_secrets.js';
import { tempFile, tempFolder } from '../../helpers/temp.js';

/** Code and message of what is thrown. */
function refusal(attempt: () => unknown): string {
  try {
    attempt();
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return `${code} ${message}`;
  }
  return 'nothing';
}

test('a password is the one line of its file', () => {
  expect(readPassword('joe', tempFile('p', 'open sesame\n'))).toBe('open sesame');
  expect(readPassword('joe', tempFile('p', ' p\u00e4ss \r\n'))).toBe(' p\u00e4ss ');
});

test.each([
  ['nothing', '\n', 'is empty'],
  ['two lines', 'secret\nsecret\n', 'has more than one line'],
  ['bytes that are no text', Buffer.from([0x73, 0xff, 0x00]), 'is not plain text'],
  ['a whole file', 'secret'.repeat(30), 'has 180 bytes; at most 128'],
])('a password file with %s is refused, and not quoted', (_what, content, cause) => {
  const file = tempFile('p', content);
  const refused = refusal(() => readPassword('joe', file));
  expect(refused).toBe(`RTSP_PASSWORD sink.rtsp.users: password_file of joe: ${file} ${cause}`);
  expect(refused).not.toContain('secret');
});

test('a password file that cannot be read is named with its cause', () => {
  const missing = join(tempFolder(), 'nothing');
  expect(refusal(() => readPassword('joe', missing))).toMatch(/^RTSP_PASSWORD .* of joe: ENOENT.*nothing/);
  expect(refusal(() => readPassword('joe', tempFolder()))).toMatch(/^RTSP_PASSWORD .* of joe: EISDIR/);
  if (process.getuid?.() === 0) return;
  const closed = tempFile('p', 'secret');
  chmodSync(closed, 0);
  onTestFinished(() => {
    chmodSync(closed, 0o600);
  });
  expect(refusal(() => readPassword('joe', closed))).toMatch(/^RTSP_PASSWORD .* of joe: EACCES/);
});

test('a certificate and its key go together', () => {
  const folder = tempFolder();
  const pair = (name: string): [string, string] => {
    const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
    const subject = ['-subj', '/CN=localhost', '-days', '2', '-nodes'];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    return [cert, key];
  };
  const [cert, key] = pair('one');
  const [, other] = pair('other');
  expect(readCertificate(cert, key).certificatePem).toContain('BEGIN CERTIFICATE');
  expect(refusal(() => readCertificate(cert, other))).toBe(`RTSP_TLS sink.rtsp.tls.key_file: ${other} is not the key of the certificate in ${cert}`);
  expect(refusal(() => readCertificate(key, key))).toBe(`RTSP_TLS sink.rtsp.tls.cert_file: ${key} is not a PEM certificate`);
  expect(refusal(() => readCertificate(cert, cert))).toBe(`RTSP_TLS sink.rtsp.tls.key_file: ${cert} is not a PEM private key without a passphrase`);
  expect(refusal(() => readCertificate(cert, join(folder, 'nothing')))).toMatch(/^RTSP_TLS sink\.rtsp\.tls\.key_file: ENOENT/);
});
