const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** "1.2K" */
export const count = (number) => compact.format(number);

/** "8.3 ms", "120 ms", "1.2 s" */
export function milliseconds(ms) {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** "87 %" */
export const percent = (share) => `${Math.round(share * 100)} %`;

/** "87 %"; what is not nothing is not "0 %". */
export const part = (share) => (share > 0 && share < 0.005 ? '< 1 %' : percent(share));

/** An element with a class and a text. */
export function element(tag, className = '', text = undefined) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A square in the colour that the picture has for a class. */
export function dot(color) {
  const made = element('span', 'dot');
  made.style.setProperty('--dot', color);
  return made;
}

/** A small label with a count; `color` marks the class as it is drawn in the picture. */
export function chip(text, number, color) {
  const item = element('li', 'chip');
  if (color) item.append(dot(color));
  item.append(element('span', '', text), element('b', '', number));
  return item;
}

/** Sets a text only when it differs, so that a selection and a screen reader's place stay. */
export function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** How many of each class, by name. */
export function countByLabel(items) {
  const counts = new Map();
  for (const { label, color } of items) {
    const { number = 0 } = counts.get(label) ?? {};
    counts.set(label, { label, color, number: number + 1 });
  }
  return [...counts.values()].sort((a, b) => a.label.localeCompare(b.label));
}
