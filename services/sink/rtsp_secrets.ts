import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { FramebusError, messageOf } from '../../lib/errors.js';

const MAX_PASSWORD_BYTES = 128;

/** The password of a user, from its file: one line. What it says is in no message. @throws RTSP_PASSWORD */
export function readPassword(user: string, file: string): string {
  const refuse = (cause: string, error?: unknown): FramebusError =>
    new FramebusError('RTSP_PASSWORD', `sink.rtsp.users: password_file of ${user}: ${cause}`, { cause: error });
  let password: string;
  try {
    password = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw refuse(messageOf(error), error);
  }
  if (password === '') throw refuse(`${file} is empty`);
  if (/[\r\n]/.test(password)) throw refuse(`${file} has more than one line`);
  if (/[\u0000-\u001f\u007f\ufffd]/.test(password)) throw refuse(`${file} is not plain text`);
  const bytes = Buffer.byteLength(password);
  if (bytes > MAX_PASSWORD_BYTES) {
    throw refuse(`${file} has ${String(bytes)} bytes; at most ${String(MAX_PASSWORD_BYTES)}`);
  }
  return password;
}

/** A certificate and its key, looked at before the server gets them. @throws RTSP_TLS */
export function readCertificate(certFile: string, keyFile: string): { certificatePem: string; keyPem: string } {
  const certificatePem = readPem('cert_file', certFile);
  const keyPem = readPem('key_file', keyFile);
  const certificate = parsed('cert_file', certFile, 'a PEM certificate', () => new X509Certificate(certificatePem));
  const key = parsed('key_file', keyFile, 'a PEM private key without a passphrase', () => createPrivateKey(keyPem));
  if (!certificate.checkPrivateKey(key)) {
    throw new FramebusError('RTSP_TLS', `sink.rtsp.tls.key_file: ${keyFile} is not the key of the certificate in ${certFile}`);
  }
  return { certificatePem, keyPem };
}

function readPem(key: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new FramebusError('RTSP_TLS', `sink.rtsp.tls.${key}: ${messageOf(error)}`, { cause: error });
  }
}

/** The cause is left out: it may quote what stands in the file. */
function parsed<T>(key: string, file: string, wanted: string, parse: () => T): T {
  try {
    return parse();
  } catch {
    throw new FramebusError('RTSP_TLS', `sink.rtsp.tls.${key}: ${file} is not ${wanted}`);
  }
}
