import type { Registry } from 'prom-client';
import { sendJson, type HttpRoute } from '../http.js';

/** What the health routes ask. */
export interface HealthSubject {
  /** State in a word, for example "running". */
  state(): string;
  /** null when ready, else why not. */
  notReady(): string | null;
}

/** /metrics for Prometheus, /healthz (the process answers), /readyz (it can do its work). */
export function healthRoutes(registry: Registry, subject: HealthSubject): HttpRoute[] {
  return [
    {
      method: 'GET',
      path: '/metrics',
      handle: async ({ response }) => {
        const text = await registry.metrics();
        response.writeHead(200, { 'content-type': registry.contentType });
        response.end(text);
      },
    },
    {
      method: 'GET',
      path: '/healthz',
      handle: ({ response }) => {
        sendJson(response, 200, { status: 'ok', state: subject.state() });
      },
    },
    {
      method: 'GET',
      path: '/readyz',
      handle: ({ response }) => {
        const reason = subject.notReady();
        const state = subject.state();
        if (reason === null) sendJson(response, 200, { status: 'ready', state });
        else sendJson(response, 503, { status: 'not ready', state, reason });
      },
    },
  ];
}
