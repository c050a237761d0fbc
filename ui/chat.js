// The chat view: one open conversation, and the answers being written, of this one or of others.

import { Job, explain } from './job.js';
import { addNode, newConversation, path, show } from './conversation.js';
import { byId, el, icon, toast } from './dom.js';
import { t } from './i18n.js';
import { AnswerView, UserView } from './messages.js';
import { settings } from './settings.js';

const SAVE_EVERY_MS = 1000;
const SUGGESTIONS = ['try_1', 'try_2', 'try_3', 'try_4'];

export class Chat {
  #jobs = new Map();    // by the conversation's id
  #errors = new Map();  // by the message: what ended it, until it is tried again
  #views = new Map();   // by the message's place, of the open conversation
  #frame = 0;
  #saved = 0;
  #stick = true;        // the view follows the end of the answer
  #top = 0;             // how far it was scrolled

  // info: of /api/info. listChanged(): the side panel's. opened(id): the address bar's.
  constructor(store, info, { listChanged, opened }) {
    Object.assign(this, { store, info, listChanged, opened });
    this.conversation = newConversation(settings.system);
    this.thread = byId('thread');
    this.scroller = byId('scroll');
    this.input = byId('input');
    this.#listen();
  }

  #listen() {
    byId('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.job) this.job.stop();
      else this.#sendInput();
    });
    this.input.addEventListener('input', () => this.#drawComposer());
    this.input.addEventListener('keydown', (event) => {
      if (event.isComposing || event.keyCode === 229) return;  // Enter chooses a character, not the message
      if (event.key === 'Enter' && !event.shiftKey) {
        event.preventDefault();
        if (!this.job) this.#sendInput();
      } else if (event.key === 'ArrowUp' && this.input.value === '') {
        event.preventDefault();
        this.#views.get(path(this.conversation).findLast((i) => this.conversation.nodes[i].role === 'user'))?.edit();
      }
    });
    byId('view-chat').addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.job) this.job.stop();
    });
    this.scroller.addEventListener('scroll', () => {
      const { scrollTop, scrollHeight, clientHeight } = this.scroller;
      const atEnd = scrollHeight - scrollTop - clientHeight < 48;
      // Only a person scrolls up; text that grew under the end is no reason to stop following.
      if (atEnd || scrollTop < this.#top) this.#stick = atEnd;
      this.#top = scrollTop;
      byId('to-bottom').hidden = this.#stick;
    }, { passive: true });
    new ResizeObserver(() => this.#follow()).observe(this.thread);
    byId('to-bottom').addEventListener('click', () => this.#toBottom());
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) for (const { conversation } of this.#jobs.values()) this.#save(conversation);
    });
    addEventListener('restyle', () => this.draw(true));
  }

  get job() {
    return this.#jobs.get(this.conversation.id);
  }

  // Opens a stored conversation, or a new one. Returns whether it is there.
  async open(id) {
    const stored = id && id !== this.conversation.id ? this.held(id) ?? await this.store.get(id) : null;
    if (id && id !== this.conversation.id && !stored) return false;
    if (!id) this.conversation = newConversation(settings.system);
    else if (stored) this.conversation = stored;
    this.draw(true);
    this.#toBottom();
    return true;
  }

  // Another tab has written.
  async refresh(id) {
    if (id !== this.conversation.id || this.job) return;
    const stored = await this.store.get(id);
    if (!stored) return;
    this.conversation = stored;
    this.draw(true);
  }

  // The conversation as it stands here, where it is open or being answered: newer than what is stored.
  held(id) {
    return id === this.conversation.id ? this.conversation : this.#jobs.get(id)?.conversation ?? null;
  }

  // It is being deleted; null: all are.
  drop(id) {
    for (const gone of id === null ? [...this.#jobs.keys()] : [id]) {
      this.#jobs.get(gone)?.stop();
      this.#jobs.delete(gone);
    }
  }

  setSystem(text) {
    this.conversation.system = text;
    if (this.conversation.nodes.length) this.#save(this.conversation);
  }

  #sendInput() {
    const text = this.input.value.trim();
    if (!text || !this.info.has_model) return;
    this.input.value = '';
    this.#ask(this.conversation.head, text);
  }

  #ask(parent, text) {
    const { conversation } = this;
    const isNew = conversation.nodes.length === 0;
    const place = addNode(conversation, 'user', parent, [{ type: 'text', text }]);
    if (isNew) this.opened(conversation.id);
    this.#answer(place);
  }

  // Another answer beside the one at `place`; in its place where that has come to nothing.
  #again(place) {
    if (this.job) return;
    const message = this.conversation.nodes[place];
    if (message.parts.length) {
      this.#answer(message.parent);
    } else {
      delete message.finish;
      delete message.stats;
      this.#errors.delete(message);
      this.#run(place);
    }
  }

  #answer(parent) {
    this.#run(addNode(this.conversation, 'assistant', parent, []));
  }

  async #run(place) {
    const { conversation } = this;
    const job = new Job(conversation, place, this.info.model);
    this.#jobs.set(conversation.id, job);
    await this.#save(conversation);
    this.draw();
    this.#toBottom();
    await job.run(() => this.#grew(job));
    if (this.#jobs.get(conversation.id) !== job) return;  // deleted meanwhile
    this.#jobs.delete(conversation.id);
    conversation.updated = Date.now();
    if (job.error) this.#fail(job);
    const saved = this.#save(conversation);
    if (this.conversation === conversation) this.draw();
    await saved;
  }

  #fail({ message, error }) {
    const wait = error.retryAfter > 0;
    this.#errors.set(message, { text: explain(error), wait });
    if (!wait) return;
    const due = Date.now() + 1000 * error.retryAfter;
    const tick = () => {
      const seconds = Math.ceil((due - Date.now()) / 1000);
      if (!this.#errors.has(message)) return;
      this.#errors.set(message, { text: explain(error, seconds), wait: seconds > 0, counting: seconds > 0 });
      for (const view of this.#views.values()) if (view.message === message) view.update();
      if (seconds > 0) setTimeout(tick, 1000);
    };
    setTimeout(tick, 1000);
  }

  // Draws once a frame, and rests three times as long as drawing took: long answers stay smooth.
  #grew(job) {
    if (performance.now() - this.#saved > SAVE_EVERY_MS) this.#save(job.conversation);
    if (this.#frame || job.conversation !== this.conversation) return;
    this.#frame = requestAnimationFrame((begun) => {
      this.#views.get(job.place)?.grow();
      const rest = 3 * (performance.now() - begun);
      setTimeout(() => { this.#frame = 0; }, Math.min(rest, 500));
    });
  }

  async #save(conversation) {
    this.#saved = performance.now();
    try {
      await this.store.put(conversation);
    } catch (error) {
      toast(t('not_saved', { why: error.message }));
    }
    this.listChanged();
  }

  #toBottom() {
    this.#stick = true;
    this.#follow();
  }

  #follow() {
    if (this.#stick) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  #viewOf(place) {
    const { conversation } = this;
    const message = conversation.nodes[place];
    const actions = {
      showVersion: (other) => {
        if (this.job) return;
        show(conversation, other);
        this.#save(conversation);
        this.draw();
      },
      edit: (at, text) => { if (!this.job) this.#ask(conversation.nodes[at].parent, text); },
      again: (at) => this.#again(at),
    };
    return message.role === 'user'
      ? new UserView(conversation, place, actions)
      : new AnswerView(conversation, place, actions, () => ({
        live: this.#jobs.get(conversation.id)?.message === message,
        error: this.#errors.get(message),
      }));
  }

  // all: forget what was drawn before (another conversation, another language)
  draw(all = false) {
    if (all) this.#views.clear();
    const places = path(this.conversation);
    const shown = places.map((place) => {
      const old = this.#views.get(place);
      if (old) old.update();
      else this.#views.set(place, this.#viewOf(place));
      return this.#views.get(place).node;
    });
    const wanted = shown.length ? shown : [this.#welcome()];
    if (wanted.length !== this.thread.children.length || wanted.some((node, i) => node !== this.thread.children[i])) {
      this.thread.replaceChildren(...wanted);
    }
    byId('view-chat').classList.toggle('empty', shown.length === 0);
    document.title = this.conversation.title ? `${this.conversation.title} · nanochat` : 'nanochat';
    this.#drawComposer();
    this.#follow();
  }

  #welcome() {
    if (!this.info.has_model) return el('div.welcome', {}, el('h1', {}, t('no_model')), el('p', {}, t('no_model_hint')));
    return el('div.welcome', {}, el('h1', {}, t('hello')), el('div.suggestions', {}, SUGGESTIONS.map((key) =>
      el('button', { type: 'button', onclick: () => this.#ask(-1, t(key)) }, t(key)))));
  }

  #drawComposer() {
    const button = byId('send');
    const name = this.job ? 'stop' : 'send';
    if (button.dataset.label !== name) {
      button.dataset.label = name;
      button.replaceChildren(icon(name));
    }
    button.title = t(name);
    button.setAttribute('aria-label', t(name));
    this.input.disabled = !this.info.has_model;
    button.disabled = !this.job && (this.input.value.trim() === '' || !this.info.has_model);
  }
}
