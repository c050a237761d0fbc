// A small menu under a button: arrows, Home, End and Escape work as in any menu.

import { el, icon } from './dom.js';

// items: [{label, icon, run, danger}]
export function openMenu(button, items) {
  const close = (focus) => {
    menu.remove();
    button.setAttribute('aria-expanded', 'false');
    document.removeEventListener('pointerdown', outside, true);
    if (focus) button.focus();
  };
  const outside = (event) => {
    if (!menu.contains(event.target)) close(false);
  };
  const rows = items.map((item) => el(item.danger ? 'button.menu-item.danger' : 'button.menu-item', {
    type: 'button', role: 'menuitem', tabIndex: -1, onclick: () => { close(true); item.run(); },
  }, icon(item.icon), item.label));
  const menu = el('div.menu', { role: 'menu' }, rows);
  menu.addEventListener('keydown', (event) => {
    const at = rows.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to !== undefined) {
      rows[(to + rows.length) % rows.length].focus();
    } else if (event.key === 'Escape' || event.key === 'Tab') {
      close(true);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });
  document.body.append(menu);
  const box = button.getBoundingClientRect();
  const below = box.bottom + 4 + menu.offsetHeight < innerHeight;
  menu.style.top = `${below ? box.bottom + 4 : box.top - 4 - menu.offsetHeight}px`;
  menu.style.left = `${Math.max(8, Math.min(box.left, innerWidth - menu.offsetWidth - 8))}px`;
  button.setAttribute('aria-expanded', 'true');
  document.addEventListener('pointerdown', outside, true);
  rows[0].focus();
}

// Asks in a dialog. Resolves to false when it was closed, else to true or, with `field`, to the text.
//   field   {label, type, value}: one line to fill in
export function ask({ title, text, ok, cancel, danger = false, field }) {
  return new Promise((resolve) => {
    const input = field && el('input', { type: field.type ?? 'text', value: field.value ?? '', autocomplete: 'off' });
    const form = el('form', { method: 'dialog' },
      el('h2', { id: 'ask-title' }, title),
      text && el('p', {}, text),
      field && el('label.field', {}, field.label, input),
      el('div.dialog-actions', {},
        el('button.button', { type: 'button', onclick: () => dialog.close() }, cancel),
        el(danger ? 'button.button.danger' : 'button.button.primary', { value: 'ok' }, ok)));
    const dialog = el('dialog.dialog', { 'aria-labelledby': 'ask-title' }, form);
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'ok' && (field ? input.value : true));
    });
    document.body.append(dialog);
    dialog.showModal();
    input?.focus();
  });
}
