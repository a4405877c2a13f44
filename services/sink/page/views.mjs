import { Card } from './card.mjs';
import { LiveBundle } from './live_bundle.mjs';
import { StillQueue } from './still_queue.mjs';

/** Live pictures at once: they share one connection, but each needs a decoder of its own. */
const LIVE_STREAMS = 12;
/** Live tiled pictures at once, each with a connection of its own: a browser has six for a server. */
const LIVE_TILES = 1;
/** Statuses, one a second, in which a stream may be missing: while sink starts, it has not heard all. */
const MISSED = 10;

/** cam-2 comes before cam-10. */
const byName = new Intl.Collator('en', { numeric: true });

/** All pictures on the page, and which of them are live. */
export class Views {
  /** @type {Map<string, Card>} by name; tiled pictures come first */
  #cards = new Map();
  #grid;
  #onScreen = new Set();
  #parts = { bundle: new LiveBundle(), stills: new StillQueue() };
  #observer;
  #alone = null;

  /** @param {HTMLElement} grid */
  constructor(grid) {
    this.#grid = grid;
    this.#observer = new IntersectionObserver((entries) => this.#notice(entries), { rootMargin: '100px' });
  }

  /** In the order of the page. */
  get names() {
    return [...this.#cards.keys()];
  }

  get size() {
    return this.#cards.size;
  }

  card(name) {
    return this.#cards.get(name);
  }

  /** Takes a status in. True when pictures have come or gone. */
  update({ streams, tiles = [] }) {
    const before = this.names.join('/');
    for (const card of this.#cards.values()) card.missed += 1;
    const flowing = new Set(streams.filter(({ framesOut }) => framesOut > 0).map(({ id }) => id));
    for (const { name, streams: members } of tiles) {
      this.#cardOf('tiles', name).updateTiles(members, members.some((id) => flowing.has(id)));
    }
    for (const stream of streams) this.#cardOf('streams', stream.id).update(stream);
    for (const [name, card] of this.#cards) {
      if (card.missed > MISSED) this.#remove(name, card);
    }
    this.#sort();
    this.play();
    return this.names.join('/') !== before;
  }

  /** Shows one picture alone; null: all of them that the filter lets through. */
  show(alone, filter) {
    this.#alone = alone;
    for (const [name, card] of this.#cards) {
      card.root.hidden = alone === null ? !name.toLowerCase().includes(filter.toLowerCase()) : name !== alone;
      card.setAlone(name === alone);
    }
    this.play();
  }

  /** Decides which pictures are live. */
  play() {
    const left = { streams: LIVE_STREAMS, tiles: LIVE_TILES };
    for (const [name, card] of this.#cards) {
      const isSeen = this.#alone === null ? this.#onScreen.has(name) && !card.root.hidden : name === this.#alone;
      if (document.hidden || !isSeen) card.player.set('off');
      else if (card.wants === 'live' && left[card.kind]-- <= 0) card.player.set('stills');
      else card.player.set(card.wants);
    }
  }

  #notice(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#onScreen.add(target.dataset.stream);
      else this.#onScreen.delete(target.dataset.stream);
    }
    this.play();
  }

  #cardOf(kind, name) {
    const known = this.#cards.get(name);
    if (known) return known;
    const card = new Card(kind, name, this.#parts);
    this.#cards.set(name, card);
    this.#observer.observe(card.root);
    return card;
  }

  #remove(name, card) {
    card.player.set('off');
    this.#observer.unobserve(card.root);
    this.#onScreen.delete(name);
    card.root.remove();
    this.#cards.delete(name);
  }

  /** Puts new cards where they belong; a video that is moved would stop. */
  #sort() {
    const rank = ({ kind }) => (kind === 'tiles' ? 0 : 1);
    const sorted = [...this.#cards.values()].sort((a, b) => rank(a) - rank(b) || byName.compare(a.name, b.name));
    this.#cards = new Map(sorted.map((card) => [card.name, card]));
    sorted.forEach((card, i) => {
      if (card.root.isConnected) return;
      const next = sorted.slice(i + 1).find(({ root }) => root.isConnected);
      this.#grid.insertBefore(card.root, next?.root ?? null);
    });
  }
}
