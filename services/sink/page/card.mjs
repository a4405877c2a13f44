import { Player } from './player.mjs';

/** Entries of the list of latest detections. */
const LOG_LENGTH = 8;

const REASONS = {
  pool_exhausted: 'pool was full',
  skipped: 'skipped by interval',
  overloaded: 'inference overloaded',
  superseded: 'newer frame came first',
  expired: 'no worker in time',
  worker_lost: 'worker lost',
  failed: 'model failed',
  late: 'result too late',
  duplicate: 'duplicate result',
  stale: 'picture gone',
  encoder_full: 'encoder busy',
  encoder_failed: 'encoder failed',
  unknown_version: 'unknown message version',
};

const STATES = {
  PLAYING: 'live',
  CONNECTING: 'connecting',
  RECONNECTING: 'reconnecting',
  ENDED: 'ended',
  FAILED: 'failed',
};

const number = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

const milliseconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** Entries of a map in an order that stays. */
const byName = (map) => [...map].sort(([a], [b]) => a.localeCompare(b));

const element = (tag, className, text) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

/** A small label with a count; `color` marks the class as it is drawn in the picture. */
function chip(text, count, color) {
  const item = element('li', 'chip');
  if (color) {
    const dot = element('span', 'dot');
    dot.style.setProperty('--dot', color);
    item.append(dot);
  }
  item.append(element('span', '', text), element('b', '', count));
  return item;
}

/** What was seen, by class: how many, or how certain the only one is. */
function sentence(items) {
  const classes = new Map();
  for (const { label, confidence } of items) {
    const { count } = classes.get(label) ?? { count: 0 };
    classes.set(label, { count: count + 1, confidence });
  }
  const parts = byName(classes).map(([label, { count, confidence }]) =>
    count > 1 ? `${count} × ${label}` : `${label} ${Math.round(confidence * 100)} %`,
  );
  return parts.join(', ');
}

/** One stream on the page: picture, figures, detections. */
export class Card {
  #root;
  #player;
  #id;
  #colors = new Map();
  #state = '';
  #flowing = false;

  /** @param {string} id of the stream */
  constructor(id) {
    this.#id = id;
    const template = document.getElementById('card');
    this.#root = template.content.firstElementChild.cloneNode(true);
    this.#root.dataset.stream = id;
    this.#find('h2').textContent = id;
    const open = this.#find('.open');
    open.href = `#${encodeURIComponent(id)}`;
    open.setAttribute('aria-label', `Show ${id} alone`);
    this.#find('.still').alt = `Latest picture of ${id}`;
    const screen = this.#find('.screen');
    this.#player = new Player(id, this.#find('video'), this.#find('.still'), (shown) =>
      screen.classList.toggle('has-picture', shown),
    );
  }

  get root() {
    return this.#root;
  }

  /** What there is to show: nothing yet, the last picture, or live ones. */
  get wants() {
    if (!this.#flowing) return 'off';
    return this.#state === 'ENDED' || this.#state === 'FAILED' ? 'stills' : 'live';
  }

  get player() {
    return this.#player;
  }

  /** Shows what the services say of the stream. */
  update(stream, addresses) {
    this.#showState(stream);
    if (stream.width > 0) {
      this.#find('.size').textContent = `${stream.width} × ${stream.height}`;
      this.#find('.screen').style.setProperty('--ratio', `${stream.width} / ${stream.height}`);
    }
    const { latency } = stream;
    const figures = {
      fpsIn: stream.fpsIn.toFixed(1),
      fpsInferred: stream.fpsInferred.toFixed(1),
      fpsOut: stream.fpsOut.toFixed(1),
      p50: latency && latency.p99Ms > 0 ? milliseconds(latency.p50Ms) : '–',
      p99: latency && latency.p99Ms > 0 ? milliseconds(latency.p99Ms) : '–',
    };
    for (const [name, text] of Object.entries(figures)) {
      this.#find(`[data-figure="${name}"]`).textContent = text;
    }
    this.#showCounts(stream);
    this.#showLinks(addresses);
  }

  /** Shows what was seen just now. */
  see(event) {
    const counts = new Map();
    for (const { label, color } of event.items) {
      this.#colors.set(label, color);
      counts.set(label, (counts.get(label) ?? 0) + 1);
    }
    const chips = byName(counts).map(([label, count]) => chip(label, count, this.#colors.get(label)));
    this.#find('.now').replaceChildren(...(chips.length > 0 ? chips : [element('li', 'none', 'nothing')]));
    if (event.items.length > 0) this.#log(event);
  }

  #log(event) {
    const row = element('li');
    const time = new Date(event.captureMs).toISOString().slice(11, 23);
    row.append(element('time', '', time), element('span', 'seq', `#${event.seq}`));
    row.append(element('span', 'what', sentence(event.items)), element('span', 'ms', milliseconds(event.latencyMs)));
    const list = this.#find('.log');
    list.prepend(row);
    while (list.children.length > LOG_LENGTH) list.lastElementChild.remove();
  }

  #showState(stream) {
    const badge = this.#find('.badge');
    this.#state = stream.state;
    this.#flowing = stream.framesIn > 0 || stream.framesOut > 0;
    this.#root.dataset.state = stream.state;
    badge.dataset.state = stream.state;
    badge.textContent = STATES[stream.state] ?? '';
    const reason = this.#find('.reason');
    reason.hidden = stream.reason === '';
    reason.textContent = stream.reason;
    const waiting = { CONNECTING: 'Opening the source', RECONNECTING: 'Source lost, trying again' };
    this.#find('.wait-text').textContent = waiting[this.#state] ?? 'Waiting for a picture';
  }

  #showCounts(stream) {
    const drops = Object.entries(stream.drops).filter(([, count]) => count > 0);
    drops.sort((a, b) => b[1] - a[1]);
    this.#find('.drops').hidden = drops.length === 0;
    this.#find('.drops .chips').replaceChildren(
      ...drops.map(([reason, count]) => chip(REASONS[reason] ?? reason, number.format(count))),
    );
    const sums = Object.entries(stream.detections).sort((a, b) => b[1] - a[1]);
    this.#find('.sums').replaceChildren(
      ...sums.map(([label, count]) => chip(label, number.format(count), this.#colors.get(label))),
    );
  }

  #showLinks(addresses) {
    const id = encodeURIComponent(this.#id);
    const snapshot = element('a', '', 'Snapshot (JPEG)');
    snapshot.href = `streams/${id}/snapshot.jpg`;
    // A server that listens on all addresses is reached by the one that brought us here.
    const server = (addresses.rtsp ?? '').replace(/\/\/(0\.0\.0\.0|\[::\]):/, `//${location.hostname}:`);
    const rtsp = element('code', '', `${server}/${id}`);
    const links = [snapshot, ...(addresses.rtsp ? [rtsp] : [])].map((link) => {
      const item = element('li');
      item.append(link);
      return item;
    });
    const list = this.#find('.links');
    if (list.textContent !== links.map((item) => item.textContent).join('')) {
      list.replaceChildren(...links);
    }
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }
}
