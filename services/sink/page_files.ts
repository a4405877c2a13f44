import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { HttpRoute } from '../../lib/http.js';
import { PACKAGE_ROOT } from '../../lib/package_root.js';

/** The page's files stay where their source is; dist has no copy of them. */
const DIRECTORY = join(PACKAGE_ROOT, 'services', 'sink', 'page');

const FILES = {
  'index.html': 'text/html; charset=utf-8',
  'style.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
  'addresses.mjs': 'text/javascript; charset=utf-8',
  'card.mjs': 'text/javascript; charset=utf-8',
  'detail.mjs': 'text/javascript; charset=utf-8',
  'elements.mjs': 'text/javascript; charset=utf-8',
  'live_bundle.mjs': 'text/javascript; charset=utf-8',
  'live_edge.mjs': 'text/javascript; charset=utf-8',
  'main.mjs': 'text/javascript; charset=utf-8',
  'mp4.mjs': 'text/javascript; charset=utf-8',
  'player.mjs': 'text/javascript; charset=utf-8',
  'reasons.mjs': 'text/javascript; charset=utf-8',
  'stages.mjs': 'text/javascript; charset=utf-8',
  'still_queue.mjs': 'text/javascript; charset=utf-8',
  'views.mjs': 'text/javascript; charset=utf-8',
} as const;

/** Nothing but what this server sends itself; pictures and video also from memory (blob:). */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob:",
  "media-src 'self' blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Headers of every answer to the page. */
export function setPageHeaders(response: ServerResponse): void {
  response.setHeader('content-security-policy', CONTENT_SECURITY_POLICY);
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('referrer-policy', 'no-referrer');
  response.setHeader('cache-control', 'no-store');
}

/** Serves the page's files, read once. */
export function pageFileRoutes(): HttpRoute[] {
  return Object.entries(FILES).map(([name, type]) => {
    const body = readFileSync(join(DIRECTORY, name));
    return {
      method: 'GET',
      path: name === 'index.html' ? '/' : `/${name}`,
      handle: ({ response }) => {
        setPageHeaders(response);
        response.writeHead(200, { 'content-type': type, 'content-length': body.length });
        response.end(body);
      },
    };
  });
}
