import { chip, countByLabel, element, count, milliseconds, write } from './elements.mjs';
import { fetchFeed, Player } from './player.mjs';
import { countedReasons } from './reasons.mjs';

const STATES = {
  PLAYING: 'live',
  CONNECTING: 'connecting',
  RECONNECTING: 'reconnecting',
  ENDED: 'ended',
  FAILED: 'failed',
  STALLED: 'no new pictures',
};

/** What is said over the picture while there is none, or an old one. */
const WAITING = {
  CONNECTING: 'Opening the source',
  RECONNECTING: 'No connection, trying again',
  FAILED: 'Failed, and not tried again',
};

/** Statuses, one a second, without a new picture after which a stream counts as stalled. */
const STALLED_AFTER = 5;

/** One picture on the page, of a stream or of several in tiles: live, with its figures. */
export class Card {
  /** "streams" or "tiles", as in its address. */
  kind;
  name;
  /** Statuses in which it was missing, one after the other. */
  missed = 0;
  #root;
  #player;
  #bundle;
  #output = '';
  #state = '';
  #flowing = false;
  #framesOut = -1;
  #unchanged = 0;

  /**
   * @param {'streams' | 'tiles'} kind
   * @param {string} name
   * @param {{bundle: import('./live_bundle.mjs').LiveBundle, stills: import('./still_queue.mjs').StillQueue}} parts
   */
  constructor(kind, name, { bundle, stills }) {
    this.kind = kind;
    this.name = name;
    this.#bundle = bundle;
    this.#root = document.getElementById('card').content.firstElementChild.cloneNode(true);
    this.#root.dataset.stream = name;
    this.#root.classList.add(kind);
    this.#root.setAttribute('aria-label', kind === 'tiles' ? `Tiled picture ${name}` : `Stream ${name}`);
    this.#find('h2').textContent = name;
    this.#find('.open').href = `#${encodeURIComponent(name)}`;
    this.#find('.open').setAttribute('aria-label', `Show ${name} alone`);
    this.#find('video').setAttribute('aria-label', `Live picture of ${name}`);
    this.#find('.still').alt = `Latest picture of ${name}`;
    const screen = this.#find('.screen');
    this.#player = new Player(this.#source(), this.#find('video'), this.#find('.still'), stills, {
      picture: (shown) => screen.classList.toggle('has-picture', shown),
      note: (text) => this.#note(text),
    });
    this.#find('.full').addEventListener('click', () => this.toggleFullScreen());
  }

  get root() {
    return this.#root;
  }

  /** What is to be seen: nothing yet, a picture that does not change, or live ones. */
  get wants() {
    if (!this.#flowing) return 'off';
    return this.#state === '' || this.#state === 'PLAYING' ? 'live' : 'last';
  }

  get player() {
    return this.#player;
  }

  /** How the stream is, in a word; empty when nobody says. */
  get state() {
    return STATES[this.#state] ?? '';
  }

  /** The further output that is shown; empty: the annotated picture. */
  get output() {
    return this.#output;
  }

  /** Shows one of the stream's outputs. */
  choose(output) {
    if (output === this.#output) return;
    this.#output = output;
    this.#player.change(this.#source());
    for (const input of this.#root.querySelectorAll('.choices input')) input.checked = input.value === output;
  }

  /** Shows what the services say of the stream. */
  update(stream) {
    this.missed = 0;
    this.#showState(stream);
    if (stream.width > 0) {
      write(this.#find('.size'), `${stream.width} × ${stream.height}`);
      this.#find('.screen').style.setProperty('--ratio', `${stream.width} / ${stream.height}`);
    }
    const { latency } = stream;
    const isTimed = latency && latency.p99Ms > 0;
    const figures = {
      fpsIn: stream.fpsIn.toFixed(1),
      fpsInferred: stream.fpsInferred.toFixed(1),
      fpsOut: stream.fpsOut.toFixed(1),
      p50: isTimed ? milliseconds(latency.p50Ms) : '–',
      p99: isTimed ? milliseconds(latency.p99Ms) : '–',
    };
    for (const [figure, text] of Object.entries(figures)) write(this.#find(`[data-figure="${figure}"]`), text);
    this.#showDrops(stream);
    this.#showChoices(stream.outputs);
  }

  /** Shows which streams a tiled picture is of, and whether any of them has pictures. */
  updateTiles(streams, flowing) {
    this.missed = 0;
    this.#flowing = flowing;
    write(this.#find('.size'), streams.length === 1 ? '1 stream' : `${streams.length} streams`);
    const list = this.#find('.members');
    list.hidden = false;
    if (list.textContent === streams.join('')) return;
    list.replaceChildren(
      ...streams.map((id) => {
        const link = element('a', '', id);
        link.href = `#${encodeURIComponent(id)}`;
        const item = element('li');
        item.append(link);
        return item;
      }),
    );
  }

  /** Shows what was seen just now. */
  see({ items }) {
    const chips = countByLabel(items).map(({ label, color, number }) => chip(label, number, color));
    this.#find('.now').replaceChildren(...(chips.length > 0 ? chips : [element('li', 'none', 'nothing')]));
  }

  /** Whether it is the one that is shown alone. */
  setAlone(alone) {
    this.#find('.open').hidden = alone;
    this.#find('.full').hidden = !alone || !document.fullscreenEnabled;
    this.#find('.choices').classList.toggle('usable', alone);
    if (!alone) this.choose('');
  }

  toggleFullScreen() {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void this.#find('.screen').requestFullscreen().catch(() => {});
  }

  #note(text) {
    this.#find('.note').hidden = text === '';
    write(this.#find('.note'), text);
  }

  #source() {
    const base = `${this.kind}/${encodeURIComponent(this.name)}`;
    const query = this.#output === '' ? '' : `?output=${encodeURIComponent(this.#output)}`;
    const isBundled = this.kind === 'streams' && this.#output === '';
    return {
      feed: isBundled ? this.#bundle.feed(this.name) : fetchFeed(`${base}/live.mp4${query}`),
      stillUrl: `${base}/snapshot.jpg${query}`,
    };
  }

  #showState(stream) {
    this.#unchanged = stream.framesOut === this.#framesOut ? this.#unchanged + 1 : 0;
    this.#framesOut = stream.framesOut;
    this.#flowing = stream.framesOut > 0;
    const shouldFlow = stream.state === '' || stream.state === 'PLAYING';
    this.#state = shouldFlow && this.#flowing && this.#unchanged >= STALLED_AFTER ? 'STALLED' : stream.state;
    const badge = this.#find('.badge');
    this.#root.dataset.state = this.#state;
    // Of a stream that never had a picture there is nothing to count.
    this.#root.classList.toggle('empty', stream.framesIn === 0 && !this.#flowing);
    badge.dataset.state = this.#state;
    write(badge, this.state);
    const reason = this.#find('.reason');
    reason.hidden = stream.reason === '';
    write(reason, stream.reason);
    write(this.#find('.wait-text'), WAITING[this.#state] ?? 'Waiting for a picture');
  }

  #showDrops({ drops, framesIn }) {
    const reasons = countedReasons(drops);
    const parts = [
      { text: 'not looked at', counted: reasons.filter(({ shown }) => shown) },
      { text: 'not shown', counted: reasons.filter(({ shown }) => !shown) },
    ].filter(({ counted }) => counted.length > 0);
    const line = this.#find('.drops');
    line.hidden = parts.length === 0;
    const texts = parts.map(({ text, counted }) => `${count(counted.reduce((sum, reason) => sum + reason.count, 0))} ${text}`);
    write(line, `Of ${count(framesIn)} pictures ${texts.join(', ')}`);
    line.title = reasons.map((reason) => `${count(reason.count)} ${reason.words}`).join('\n');
  }

  #showChoices(outputs) {
    const field = this.#find('.choices');
    field.hidden = outputs.length === 0;
    if (field.dataset.outputs === outputs.join(' ')) return;
    field.dataset.outputs = outputs.join(' ');
    for (const label of field.querySelectorAll('label')) label.remove();
    field.append(
      ...['', ...outputs].map((output) => {
        const input = document.createElement('input');
        Object.assign(input, { type: 'radio', name: `output of ${this.name}`, value: output, checked: output === this.#output });
        input.addEventListener('change', () => {
          this.choose(output);
          this.#root.dispatchEvent(new CustomEvent('choice'));
        });
        const label = element('label');
        label.append(input, element('span', '', output === '' ? 'annotated' : output));
        return label;
      }),
    );
    if (!outputs.includes(this.#output)) this.choose('');
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }
}
