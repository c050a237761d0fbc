// Conversations in IndexedDB: `heads` for the list, `bodies` whole. What comes out has been checked.
// Where the browser allows no storage, a Map stands in and `persistent` is false.

import { conversationFrom } from './conversation.js';

const NAME = 'nanochat';
const channel = 'BroadcastChannel' in self ? new BroadcastChannel(NAME) : null;

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

const committed = (transaction) => new Promise((resolve, reject) => {
  transaction.oncomplete = () => resolve();
  transaction.onabort = () => reject(transaction.error ?? new Error('aborted'));
});

function openDatabase() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore('heads', { keyPath: 'id' });
    request.result.createObjectStore('bodies', { keyPath: 'id' });
  };
  return done(request);
}

const headOf = ({ id, title, updated }) => ({ id, title, updated });

// A head that was damaged still shows, so that its conversation can be deleted.
const headFrom = (stored) => ({
  id: stored.id,
  title: typeof stored.title === 'string' ? stored.title.slice(0, 200) : '',
  updated: Number.isFinite(stored.updated) && Math.abs(stored.updated) < 8.64e15 ? stored.updated : 0,
});

export class Store {
  #database = null;
  #memory = new Map();

  // `changed(id)` is called when another tab has written; id is null where it was many.
  static async open(changed) {
    const store = new Store();
    try {
      store.#database = await openDatabase();
    } catch {
      store.#database = null;
    }
    if (channel) channel.onmessage = ({ data }) => changed(data);
    return store;
  }

  get persistent() {
    return this.#database !== null;
  }

  // [{id, title, updated}], the newest first.
  async list() {
    const stored = this.#database
      ? await done(this.#database.transaction('heads').objectStore('heads').getAll())
      : [...this.#memory.values()].map(headOf);
    return stored.filter(({ id }) => typeof id === 'string').map(headFrom).sort((a, b) => b.updated - a.updated);
  }

  // The conversation, or null where there is none that can be read.
  async get(id) {
    const stored = this.#database
      ? await done(this.#database.transaction('bodies').objectStore('bodies').get(id))
      : structuredClone(this.#memory.get(id));
    const conversation = conversationFrom(stored);
    return conversation && { ...conversation, id };
  }

  async put(...conversations) {
    if (!this.#database) {
      for (const conversation of conversations) this.#memory.set(conversation.id, structuredClone(conversation));
      return;
    }
    await this.#write((heads, bodies) => {
      for (const conversation of conversations) {
        heads.put(headOf(conversation));
        bodies.put(conversation);
      }
    }, conversations.length === 1 ? conversations[0].id : null);
  }

  async remove(id) {
    this.#memory.delete(id);
    if (this.#database) await this.#write((heads, bodies) => { heads.delete(id); bodies.delete(id); }, id);
  }

  async clear() {
    this.#memory.clear();
    if (this.#database) await this.#write((heads, bodies) => { heads.clear(); bodies.clear(); }, null);
  }

  async #write(change, id) {
    const transaction = this.#database.transaction(['heads', 'bodies'], 'readwrite');
    const end = committed(transaction);
    change(transaction.objectStore('heads'), transaction.objectStore('bodies'));
    transaction.commit();  // now, so that a page which is closed at this moment loses nothing
    await end;
    channel?.postMessage(id);
  }
}
