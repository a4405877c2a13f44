import { Card } from './card.mjs';

/** Live pictures at once: a browser has six connections to a server, one of them carries the events. */
const LIVE_AT_ONCE = 4;
/** Events are one a second; after so long without one, the page says so. */
const SILENCE_MS = 4000;

const grid = document.getElementById('grid');
const notice = document.getElementById('notice');
const services = document.getElementById('services');
/** @type {Map<string, Card>} */
const cards = new Map();
/** @type {Set<string>} */
const onScreen = new Set();

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) onScreen.add(target.dataset.stream);
      else onScreen.delete(target.dataset.stream);
    }
    chooseLive();
  },
  { rootMargin: '100px' },
);

/** The stream that is shown alone; null for the grid. */
function chosen() {
  try {
    const id = decodeURIComponent(location.hash.slice(1));
    return cards.has(id) ? id : null;
  } catch {
    return null;
  }
}

function chooseLive() {
  const alone = chosen();
  let live = 0;
  for (const [id, card] of cards) {
    const visible = !document.hidden && (alone === null ? onScreen.has(id) : id === alone);
    const { wants } = card;
    if (!visible) card.player.set('off');
    else if (wants === 'live' && live++ >= LIVE_AT_ONCE) card.player.set('stills');
    else card.player.set(wants);
  }
}

function layout() {
  const alone = chosen();
  document.body.classList.toggle('alone', alone !== null);
  document.body.classList.toggle('single', cards.size === 1);
  for (const [id, card] of cards) {
    card.root.hidden = alone !== null && id !== alone;
    const open = card.root.querySelector('.open');
    open.href = id === alone ? '#' : `#${encodeURIComponent(id)}`;
    open.setAttribute('aria-label', id === alone ? 'Show all streams' : `Show ${id} alone`);
  }
  grid.dataset.count = String(alone === null ? Math.min(cards.size, 5) : 1);
  document.title = alone === null ? 'framebus' : `${alone} · framebus`;
  chooseLive();
}

function showStreams({ streams, addresses }) {
  const before = cards.size;
  let changed = false;
  for (const stream of streams) {
    let card = cards.get(stream.id);
    if (!card) {
      card = new Card(stream.id);
      cards.set(stream.id, card);
      grid.append(card.root);
      observer.observe(card.root);
    }
    const { wants } = card;
    card.update(stream, addresses);
    changed ||= card.wants !== wants;
  }
  if (cards.size !== before) layout();
  else if (changed) chooseLive();
}

/** The way that a frame takes. */
const ORDER = ['ingest', 'producer', 'infer', 'sink'];

function showServices(list) {
  const sorted = [...list].sort((a, b) => ORDER.indexOf(a.service) - ORDER.indexOf(b.service));
  const items = sorted.map((service) => {
    const item = document.createElement('li');
    item.dataset.state = service.state;
    const name = document.createElement('b');
    name.textContent = service.service;
    const load = document.createElement('span');
    load.textContent = service.cpuPercent === null ? service.state.toLowerCase() : `${service.cpuPercent} % CPU`;
    item.title = `${service.instance}: ${service.state.toLowerCase()}, ${service.residentMib} MiB`;
    item.append(name, load);
    return item;
  });
  services.replaceChildren(...items);
}

function say(text) {
  notice.hidden = text === '';
  if (notice.textContent !== text) notice.textContent = text;
}

let silence = 0;

function onStatus(status) {
  clearTimeout(silence);
  silence = setTimeout(() => say('No word from the sink. Trying again …'), SILENCE_MS);
  showServices(status.services);
  showStreams(status);
  say(status.streams.length === 0 ? 'No streams yet. They show up here by themselves.' : '');
}

function listen() {
  const events = new EventSource('api/events');
  events.addEventListener('status', (event) => onStatus(JSON.parse(event.data)));
  events.addEventListener('detections', (event) => {
    const seen = JSON.parse(event.data);
    cards.get(seen.streamId)?.see(seen);
  });
  events.addEventListener('error', () => {
    say('The sink does not answer. Trying again …');
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  });
}

addEventListener('hashchange', layout);
addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && chosen() !== null) location.hash = '';
});
document.addEventListener('visibilitychange', chooseLive);
listen();
