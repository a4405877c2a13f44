import { Detail } from './detail.mjs';
import { element, write } from './elements.mjs';
import { Views } from './views.mjs';

/** Events are one a second; after so long without one, the page says so. */
const SILENCE_MS = 4000;
const RETRY_MS = 2000;
/** So many pictures fit on a page that nobody needs to search. */
const FEW = 8;
/** The way that a frame takes. */
const ORDER = ['ingest', 'producer', 'infer', 'sink'];

const byId = (id) => document.getElementById(id);
const [grid, notice, services, summary, spoken, way, filter] = ['grid', 'notice', 'services', 'summary', 'spoken', 'way', 'filter'].map(byId);
const views = new Views(grid);
/** @type {Detail | null} */
let detail = null;
/** The latest status. */
let status = { services: [], streams: [], addresses: {} };
/** Where the page of all pictures was scrolled to. */
let scrolledTo = 0;
/** @type {EventSource | null} */
let events = null;
let silence = 0;

/** The picture that is shown alone; null for all of them. */
function chosen() {
  if (views.size === 1) return views.names[0];
  try {
    const name = decodeURIComponent(location.hash.slice(1));
    return views.card(name) ? name : null;
  } catch {
    return null;
  }
}

/** Brings the page to what the address says. */
function layout() {
  const alone = chosen();
  const before = detail?.card ?? null;
  document.body.classList.toggle('alone', alone !== null);
  grid.dataset.count = String(alone === null ? Math.min(views.size, 5) : 1);
  document.title = alone === null ? 'framebus' : `${alone} · framebus`;
  filter.hidden = alone !== null || views.size <= FEW;
  if (before?.name !== alone) {
    if (before === null) scrolledTo = scrollY;
    detail?.remove();
    detail = alone === null ? null : new Detail(views.card(alone));
  }
  views.show(alone, filter.hidden ? '' : filter.value);
  showWay(alone);
  showDetail();
  listen();
  return { alone, before };
}

/** Somebody went there: the focus and the place on the page go along. */
function go() {
  const { alone, before } = layout();
  if ((before?.name ?? null) === alone) return;
  scrollTo(0, alone === null ? scrolledTo : 0);
  const target = alone === null ? before.root.querySelector('.open') : views.card(alone).root.querySelector('h2');
  target.focus({ preventScroll: true });
}

function showWay(alone) {
  way.hidden = alone === null || views.size === 1;
  if (way.hidden) return;
  const { names } = views;
  const at = names.indexOf(alone);
  const step = (link, name, text) => {
    link.href = `#${encodeURIComponent(name)}`;
    link.setAttribute('aria-label', text);
    write(link, name);
  };
  const [previous, next] = [names.at(at - 1), names[(at + 1) % names.length]];
  step(way.querySelector('.previous'), previous, `Previous: ${previous}`);
  step(way.querySelector('.next'), next, `Next: ${next}`);
}

function showDetail() {
  if (detail === null) return;
  const stream = status.streams.find(({ id }) => id === detail.card.name) ?? null;
  // A stream that is missing in this status keeps what was said of it.
  if (stream !== null || detail.card.kind === 'tiles') detail.update(stream, status.addresses);
}

function showServices(list) {
  const sorted = [...list].sort((a, b) => ORDER.indexOf(a.service) - ORDER.indexOf(b.service));
  const items = sorted.map((service) => {
    const item = element('li');
    item.dataset.state = service.state;
    const state = service.state.toLowerCase();
    const load = service.cpuPercent === null || state !== 'running' ? state : `${service.cpuPercent} % CPU`;
    item.title = `${service.instance}: ${state}, ${service.residentMib} MiB`;
    item.append(element('b', '', service.service), element('span', '', load));
    return item;
  });
  services.replaceChildren(...items);
}

/** How many streams there are, and what is not as it should be. */
function showSummary(streams) {
  const counts = new Map();
  for (const { id } of streams) {
    const state = views.card(id)?.state || 'known';
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  const parts = [...counts].sort((a, b) => b[1] - a[1]).map(([state, number]) => `${number} ${state}`);
  summary.hidden = streams.length < 2;
  write(summary, `${streams.length} streams${counts.size === 1 && counts.has('known') ? '' : `: ${parts.join(', ')}`}`);
}

/** For those who do not see the badges: what has changed since the status before. */
function speakOf(before) {
  const changes = status.streams.flatMap(({ id }) => {
    const state = views.card(id).state;
    return before.has(id) && before.get(id) !== state && state !== '' ? [`${id}: ${state}`] : [];
  });
  if (changes.length > 0) write(spoken, changes.join(', '));
}

function say(text) {
  notice.hidden = text === '';
  write(notice, text);
}

function awaitStatus() {
  clearTimeout(silence);
  silence = setTimeout(() => say('No word from the sink. Trying again …'), SILENCE_MS);
}

function onStatus(received) {
  awaitStatus();
  status = received;
  const before = new Map(views.names.map((name) => [name, views.card(name).state]));
  const hasChanged = views.update(received);
  showServices(received.services);
  showSummary(received.streams);
  speakOf(before);
  say(received.streams.length === 0 ? 'No streams yet. They show up here by themselves.' : '');
  if (hasChanged) layout();
  else showDetail();
}

function onDetections(seen) {
  views.card(seen.streamId)?.see(seen);
  if (detail?.card.name === seen.streamId) detail.see(seen);
}

/** Listens to what is told about what is shown; nobody is told what nobody sees. */
function listen() {
  const alone = chosen();
  const url = alone === null ? 'api/events' : `api/events?alone=${encodeURIComponent(alone)}`;
  if (events !== null && events.url.endsWith(`/${url}`)) return;
  events?.close();
  clearTimeout(silence);
  if (document.hidden) {
    events = null;
    return;
  }
  const source = new EventSource(url);
  events = source;
  awaitStatus();
  source.addEventListener('status', (event) => onStatus(JSON.parse(event.data)));
  source.addEventListener('detections', (event) => onDetections(JSON.parse(event.data)));
  source.addEventListener('error', () => {
    say('The sink does not answer. Trying again …');
    if (source.readyState !== EventSource.CLOSED || source !== events) return;
    events = null;
    setTimeout(() => {
      if (events === null) listen();
    }, RETRY_MS);
  });
}

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest?.('input, textarea, select')) return;
  if (event.key === '/' && !filter.hidden) {
    event.preventDefault();
    filter.focus();
  }
  if (detail === null) return;
  if (event.key === 'f') detail.card.toggleFullScreen();
  if (way.hidden) return;
  if (event.key === 'Escape') location.hash = '';
  if (event.key === 'ArrowLeft') way.querySelector('.previous').click();
  if (event.key === 'ArrowRight') way.querySelector('.next').click();
}

addEventListener('hashchange', go);
addEventListener('keydown', onKey);
filter.addEventListener('input', layout);
grid.addEventListener('choice', showDetail, true);
document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    events?.close();
    events = null;
    clearTimeout(silence);
  } else {
    listen();
  }
  views.play();
});
listen();
