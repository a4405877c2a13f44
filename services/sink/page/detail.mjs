import { addressesOf, copy } from './addresses.mjs';
import { chip, count, dot, element, milliseconds, part, percent } from './elements.mjs';
import { countedReasons } from './reasons.mjs';
import { Stages } from './stages.mjs';

/** Frames in the list of latest detections. */
const LOG_LENGTH = 8;
/** Objects of one frame in that list. */
const MOST_OBJECTS = 12;
const COPIED_MS = 1500;

/** All that is known of the stream that is shown alone. */
export class Detail {
  #root;
  #card;
  #stages = new Stages();
  #links = '';

  /** @param {import('./card.mjs').Card} card that it belongs to */
  constructor(card) {
    this.#card = card;
    this.#root = document.getElementById('detail').content.firstElementChild.cloneNode(true);
    card.root.querySelector('.body').append(this.#root);
  }

  get card() {
    return this.#card;
  }

  remove() {
    this.#root.remove();
  }

  /** Shows what the services say; `stream` is null for a tiled picture. */
  update(stream, addresses) {
    for (const section of this.#root.querySelectorAll('.of-stream:not(.stages)')) section.hidden = stream === null;
    this.#showLinks(addresses);
    if (stream === null) return;
    this.#showReasons(stream);
    const sums = Object.entries(stream.detections).sort((a, b) => b[1] - a[1]);
    const chips = sums.map(([label, number]) => chip(label, count(number)));
    this.#find('.sums').replaceChildren(...(chips.length > 0 ? chips : [element('li', 'none', 'none')]));
  }

  /** Shows what was seen in a frame. */
  see(event) {
    if (event.items.length > 0) this.#log(event);
    this.#stages.add(event.stages ?? {});
    this.#showStages();
  }

  #log({ captureMs, seq, latencyMs, items }) {
    const row = element('li');
    const time = captureMs > 0 ? new Date(captureMs).toISOString().slice(11, 23) : '–';
    const head = element('p', 'frame');
    head.append(element('time', '', time), element('span', '', `frame ${seq}`), element('span', 'ms', milliseconds(latencyMs)));
    const objects = element('ul', 'objects');
    const sorted = items.toSorted((a, b) => a.label.localeCompare(b.label) || a.track - b.track);
    objects.append(...sorted.slice(0, MOST_OBJECTS).map(objectItem));
    if (sorted.length > MOST_OBJECTS) objects.append(element('li', 'none', `and ${sorted.length - MOST_OBJECTS} more`));
    row.append(head, objects);
    const list = this.#find('.log');
    list.prepend(row);
    while (list.children.length > LOG_LENGTH) list.lastElementChild.remove();
  }

  #showStages() {
    const rows = this.#stages.rows();
    this.#find('.stages').hidden = rows.length === 0;
    const total = rows.filter(({ name }) => name !== 'capture').reduce((sum, { medianMs }) => sum + medianMs, 0);
    this.#find('.stages tbody').replaceChildren(
      ...rows.map(({ words, medianMs, mostMs, start, share }) => {
        const bar = element('span', 'bar-of');
        bar.style.setProperty('--start', percent(start).replace(' ', ''));
        bar.style.setProperty('--share', percent(share).replace(' ', ''));
        return tableRow([words], [bar], [milliseconds(medianMs)], [milliseconds(mostMs)]);
      }),
      tableRow(['decoder to record'], [], [milliseconds(total)], []),
    );
  }

  #showReasons({ drops, framesIn }) {
    const reasons = countedReasons(drops);
    this.#find('.reasons .none').hidden = reasons.length > 0;
    this.#find('.reasons ul').replaceChildren(
      ...reasons.map((reason) => {
        const item = element('li', reason.shown ? 'shown' : 'lost');
        const head = element('p');
        const share = framesIn > 0 ? ` · ${part(Math.min(1, reason.count / framesIn))}` : '';
        head.append(element('b', '', count(reason.count)), ` ${reason.words}${share}`);
        item.append(head, element('p', 'why', reason.why));
        return item;
      }),
    );
  }

  #showLinks(addresses) {
    const view = { kind: this.#card.kind, name: this.#card.name, output: this.#card.output };
    // Made once, so that a selection and the focus stay.
    const key = JSON.stringify([view, addresses]);
    if (key === this.#links) return;
    this.#links = key;
    this.#find('.saves').replaceChildren(...saves(view).map(saveLink));
    this.#find('.addresses').replaceChildren(
      ...addressesOf(addresses, view, location.hostname).flatMap(({ title, text }) => {
        const term = element('dt', '', title);
        const value = element('dd');
        value.append(element('code', '', text), copyButton(title, text));
        return [term, value];
      }),
    );
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }
}

/** One object: its class, number, certainty, and what else is known. */
function objectItem({ label, confidence, color, track, trackId, attributes }) {
  const item = element('li');
  item.append(dot(color), element('span', 'label', label));
  if (track > 0) {
    const number = element('span', 'track', `#${track}`);
    number.title = `Track ${trackId}`;
    item.append(number);
  }
  item.append(element('span', 'sure', percent(confidence)));
  if (attributes.length > 0) item.append(element('span', 'attributes', attributes.join(', ')));
  return item;
}

/** Pictures to download. */
function saves({ kind, name, output }) {
  const base = `${kind}/${encodeURIComponent(name)}/snapshot.jpg`;
  const query = (more) => new URLSearchParams({ ...(output !== '' && { output }), ...more });
  const list = [{ text: 'Save a snapshot', name: [name, output].filter(Boolean).join('-'), url: `${base}?${query({})}` }];
  if (kind === 'streams') {
    list.push({ text: 'Save one without drawing', name: `${name}-clean`, url: `${base}?${query({ clean: '1' })}` });
  }
  return list;
}

function saveLink({ text, name, url }) {
  const link = element('a', 'button', text);
  link.href = url;
  // The time is that of the click, not of when the link was made.
  link.addEventListener('click', () => {
    link.download = `${name}-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}Z.jpg`;
  });
  const item = element('li');
  item.append(link);
  return item;
}

function copyButton(title, text) {
  const button = element('button', 'button', 'Copy');
  button.type = 'button';
  button.setAttribute('aria-label', `Copy: ${title}`);
  button.addEventListener('click', () => {
    copy(text).then(
      () => (button.textContent = 'Copied'),
      () => (button.textContent = 'Select it'),
    );
    setTimeout(() => (button.textContent = 'Copy'), COPIED_MS);
  });
  return button;
}

function tableRow(...cells) {
  const row = element('tr');
  cells.forEach((content, i) => {
    const cell = element(i === 0 ? 'th' : 'td');
    if (i === 0) cell.scope = 'row';
    cell.append(...content);
    row.append(cell);
  });
  return row;
}
