// The list of conversations, with rename, delete, export and import.

import { exportText, importText } from './conversation.js';
import { byId, download, el, iconButton, toast } from './dom.js';
import { t } from './i18n.js';
import { openMenu } from './menu.js';

const MAX_IMPORT = 64 << 20;
const DAY_MS = 86400000;

function groupOf(updated) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (updated >= midnight) return 'today';
  if (updated >= midnight - DAY_MS) return 'yesterday';
  return updated >= midnight - 7 * DAY_MS ? 'week' : 'older';
}

function fileName(title) {
  const plain = title.replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '').slice(0, 40);
  return `nanochat-${plain || 'chat'}.json`;
}

export class Sidebar {
  #drawing = false;
  #again = false;
  #renaming = null;
  #drawn = '';

  // held(id): the conversation where it is newer than what is stored, or null.
  // current(): the open conversation's id. go(id): opens one, or a new one.
  // dropped(id): one was deleted, or all.
  constructor(store, { held, current, go, dropped }) {
    Object.assign(this, { store, held, current, go, dropped });
    this.list = byId('history');
  }

  // Several calls at once draw once or twice.
  async draw() {
    this.#again = true;
    if (this.#drawing) return;
    this.#drawing = true;
    while (this.#again) {
      this.#again = false;
      const heads = await this.store.list();
      if (!this.#renaming) this.#show(heads);
    }
    this.#drawing = false;
  }

  #show(heads) {
    const rows = heads.map(({ id, title, updated }) => [id, title, groupOf(updated)]);
    const drawn = JSON.stringify([t('today'), this.current(), rows]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const focused = this.list.contains(document.activeElement) && document.activeElement.dataset.focus;
    const groups = new Map();
    for (const head of heads) {
      const group = groupOf(head.updated);
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(head);
    }
    this.list.replaceChildren(...[...groups].map(([group, members]) => el('section', {},
      el('h3', {}, t(group)), el('ul', {}, members.map((head) => this.#row(head))))));
    if (focused) this.list.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  }

  #row(head) {
    const title = head.title || t('untitled');
    const link = el('a', { href: `#/chat/${head.id}`, title, data: { focus: head.id } }, title);
    if (head.id === this.current()) link.setAttribute('aria-current', 'page');
    const row = el('li', {}, link, iconButton('more', t('more_for', { title }), (event) => openMenu(event.currentTarget, [
      { label: t('rename'), icon: 'edit', run: () => this.#rename(head, row) },
      { label: t('export'), icon: 'save', run: () => this.exportOne(head.id) },
      { label: t('delete'), icon: 'trash', danger: true, run: () => this.#delete(head.id, title) },
    ]), { 'aria-haspopup': 'menu', 'aria-expanded': 'false', data: { focus: `${head.id} more` } }));
    return row;
  }

  #rename(head, row) {
    const input = el('input', { value: head.title, 'aria-label': t('title'), maxLength: 100 });
    this.#renaming = input;
    const end = async (keep) => {
      if (this.#renaming !== input) return;
      this.#renaming = null;
      this.#drawn = '';
      if (keep && input.value.trim()) await this.#change(head.id, { title: input.value.trim() });
      await this.draw();
      this.list.querySelector(`[data-focus="${CSS.escape(head.id)}"]`)?.focus();
    };
    input.addEventListener('keydown', (event) => {
      if (event.isComposing) return;
      if (event.key === 'Enter') end(true);
      if (event.key === 'Escape') end(false);
    });
    input.addEventListener('blur', () => end(true));
    row.replaceChildren(input);
    input.select();
  }

  // The open conversation is changed by who holds it.
  async #change(id, values) {
    const conversation = this.held(id) ?? await this.store.get(id);
    if (!conversation) return toast(t('unreadable'));
    Object.assign(conversation, values);
    await this.store.put(conversation);
    return undefined;
  }

  async #delete(id, title) {
    const conversation = await this.store.get(id);
    this.dropped(id);
    await this.store.remove(id);
    if (id === this.current()) this.go(null);
    await this.draw();
    byId('new-chat').focus();
    toast(t('deleted', { title }), conversation && {
      label: t('undo'),
      run: async () => {
        await this.store.put(conversation);
        await this.draw();
        this.go(id);
      },
    });
  }

  async exportOne(id) {
    const conversation = await this.store.get(id);
    if (!conversation) toast(t('unreadable'));
    else download(fileName(conversation.title), exportText([conversation]));
  }

  async exportAll() {
    const conversations = [];
    for (const { id } of await this.store.list()) {
      const conversation = await this.store.get(id);
      if (conversation) conversations.push(conversation);
    }
    download(`nanochat-${new Date().toISOString().slice(0, 10)}.json`, exportText(conversations));
  }

  async importFile(file) {
    const { conversations, bad } = file.size > MAX_IMPORT ? { conversations: [], bad: 1 } : importText(await file.text());
    if (!conversations.length) return toast(t('import_failed'));
    await this.store.put(...conversations);
    await this.draw();
    toast(t(bad ? 'imported_some' : 'imported', { n: conversations.length, bad }));
    return undefined;
  }

  async deleteAll() {
    this.dropped(null);
    await this.store.clear();
    this.go(null);
    await this.draw();
  }
}

