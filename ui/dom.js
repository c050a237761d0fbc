// Making elements without HTML strings: text stays text, whatever is in it.

const SVG = 'http://www.w3.org/2000/svg';

// Strokes on a 24 x 24 grid.
const ICONS = {
  plus: 'M12 5v14M5 12h14',
  menu: 'M4 7h16M4 12h16M4 17h10',
  chat: 'M5 5h14a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-7l-5 4v-4H5a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1z',
  chart: 'M4 4v16h16M8 15l3-5 3 3 5-7',
  blocks: 'M4 8h7v8H4zM14 8h6v8h-6z',
  send: 'M12 19V5M6 11l6-6 6 6',
  stop: 'M8 8h8v8H8z',
  copy: 'M9 9h10v11H9zM15 9V4H5v11h4',
  check: 'M5 13l4 4L19 7',
  edit: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
  again: 'M20 11a8 8 0 1 0-2 6M20 5v6h-6',
  left: 'M15 6l-6 6 6 6',
  right: 'M9 6l6 6-6 6',
  down: 'M6 9l6 6 6-6',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  gear: 'M4 7h9M17 7h3M4 17h3M11 17h9M13 7a2 2 0 1 0 4 0 2 2 0 1 0-4 0M7 17a2 2 0 1 0 4 0 2 2 0 1 0-4 0',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1 1M18 18l1 1M19 5l-1 1M6 18l-1 1',
  moon: 'M20 14A8 8 0 1 1 10 4a7 7 0 0 0 10 10z',
  auto: 'M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16',
  globe: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c5 5 5 13 0 18M12 3c-5 5-5 13 0 18',
  close: 'M6 6l12 12M18 6L6 18',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13',
  save: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  open: 'M12 16V5M7 9l5-5 5 5M5 20h14',
  tool: 'M6 3h12v18H6zM9 7h6M9 12h.01M12 12h.01M15 12h.01M9 16h.01M12 16h.01M15 16h.01',
};

export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('class', `icon icon-${name}`);
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

// el('a.link', {href, onclick, data: {id}, ...}, children): strings among the children become text.
// A property that begins with "aria" or is no property of the element is set as an attribute.
export function el(spec, props = {}, ...children) {
  const [tag, ...classes] = spec.split('.');
  const node = document.createElement(tag || 'div');
  if (classes.length) node.className = classes.join(' ');
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (key === 'data') Object.assign(node.dataset, value);
    else if (key in node && !key.startsWith('aria') && key !== 'role') node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

export function iconButton(name, label, onclick, extra = {}) {
  return el('button.icon-button', { type: 'button', title: label, 'aria-label': label, onclick, ...extra },
    icon(name));
}

export const byId = (id) => document.getElementById(id);

// Says something to screen readers only. Polite: it waits until they are silent.
export function announce(text) {
  byId('live').append(el('p', {}, text));
  while (byId('live').children.length > 20) byId('live').firstChild.remove();
}

let toastTimer = 0;

// A line at the bottom for some seconds, with at most one thing to do about it.
export function toast(text, action) {
  const box = byId('toast');
  const hide = () => box.hidePopover?.();
  box.replaceChildren(el('span', {}, text));
  if (action) {
    box.append(el('button', { type: 'button', onclick: () => { hide(); action.run(); } }, action.label));
  }
  hide();
  box.showPopover?.();
  clearTimeout(toastTimer);
  toastTimer = setTimeout(hide, action ? 8000 : 4000);
}

export function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  el('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// Plain http beyond loopback has no navigator.clipboard; there the old way still works.
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el('textarea.offscreen', { value: text, readOnly: true });
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
}
