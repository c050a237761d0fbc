// The learner's view: how a text is cut into tokens, and what the model expects at each place.

import { getJson } from './api.js';
import { el } from './dom.js';
import { formatNumber, t } from './i18n.js';
import { explain } from './job.js';

const DELAY_MS = 250;
const TOP = 20;
const COLOURS = 6;
const MAX_SHOWN = 4000;  // tokens: more would make the page slow and help nobody

const HEX = (byte) => byte.toString(16).padStart(2, '0');

function bytesOf({ bytes }) {
  return Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
}

// A token as one can see it: spaces and line ends have signs; bytes that are no text are hexadecimal.
function visible(token) {
  if (token.text === null) return [...bytesOf(token)].map((byte) => `‹${HEX(byte)}›`).join('');
  if (token.special) return token.text;
  return token.text.replace(/\n/g, '↵\n').replace(/\r/g, '␍').replace(/\t/g, '⇥')
    .replace(/^ +| +$/g, (spaces) => '·'.repeat(spaces.length));
}

const percent = (logprob) => {
  const p = 100 * Math.exp(logprob);
  return p < 0.01 ? '< 0.01 %' : `${formatNumber(p, p < 1 ? 2 : 3)} %`;
};

class Playground {
  #text = null;
  #tokens = [];
  #place = null;  // of the chosen token; -1 is before the first
  #ids = true;
  #turn = 0;      // counts questions: a late answer to an older one is dropped
  #timer = 0;

  start(node, info) {
    this.node = node;
    this.info = info;
    this.#build();
    addEventListener('restyle', () => { this.#build(); this.#drawTokens(); this.#predict(); });
    this.#tokenize();
  }

  #build() {
    this.#text ??= t('tokens_sample');
    this.input = el('textarea', { rows: 4, value: this.#text, maxLength: 50000, spellcheck: false, dir: 'auto' });
    this.input.addEventListener('input', () => {
      this.#text = this.input.value;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#tokenize(), DELAY_MS);
    });
    this.count = el('p.note', { role: 'status' });
    this.list = el('div.tokens', { role: 'group', 'aria-label': t('tokens_out') });
    this.list.addEventListener('keydown', (event) => this.#move(event));
    this.problem = el('div.error', { role: 'alert', hidden: true });
    this.next = el('section.next', { 'aria-live': 'polite' });
    const ids = el('label.check', {}, el('input', { type: 'checkbox', checked: this.#ids, onchange: ({ target }) => {
      this.#ids = target.checked;
      this.list.classList.toggle('with-ids', this.#ids);
    } }), t('show_ids'));
    this.node.replaceChildren(el('div.page', {}, el('h1', {}, t('tokens_title')), el('p.intro', {}, t('tokens_intro')),
      el('label.field', {}, el('span.offscreen', {}, t('tokens_input')), this.input),
      el('div.row.between', {}, this.count, ids), this.problem, this.list, this.next));
    this.list.classList.toggle('with-ids', this.#ids);
  }

  #fail(error) {
    this.problem.hidden = !error;
    this.problem.textContent = error ? explain(error) : '';
  }

  async #tokenize() {
    const turn = ++this.#turn;
    try {
      const { tokens } = await getJson('api/tokenize', { body: { text: this.#text } });
      if (turn !== this.#turn) return;
      this.#fail(null);
      this.#tokens = tokens;
      this.#place = tokens.length ? tokens.length - 1 : -1;
      this.#drawTokens();
      await this.#predict();
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
    }
  }

  #drawTokens() {
    const chip = (i, label, ...children) => el('button', {
      type: 'button', tabIndex: i === this.#place ? 0 : -1, 'aria-label': label, 'aria-pressed': String(i === this.#place),
      data: { place: i }, onclick: () => this.#choose(i),
    }, ...children);
    const start = chip(-1, t('start_label'), el('span', {}, t('start')));
    start.className = 'token special';
    const chips = this.#tokens.slice(0, MAX_SHOWN).map((token, i) => {
      const label = t('token_label', { text: visible(token), id: token.id });
      const node = chip(i, label, el('span', {}, visible(token)), el('small', {}, token.id));
      node.className = token.special ? 'token special' : `token colour-${i % COLOURS}`;
      return node;
    });
    this.list.replaceChildren(start, ...chips);
    const bytes = this.#tokens.reduce((sum, token) => sum + bytesOf(token).length, 0);
    const n = this.#tokens.length;
    const ratio = formatNumber(n ? bytes / n : 0);
    this.count.textContent = t('token_count', { n: formatNumber(n, 9), bytes: formatNumber(bytes, 9), ratio });
  }

  #move(event) {
    const last = Math.min(this.#tokens.length, MAX_SHOWN) - 1;
    const to = { ArrowLeft: this.#place - 1, ArrowRight: this.#place + 1, Home: -1, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#choose(Math.max(-1, Math.min(to, last)));
  }

  #choose(place) {
    for (const node of this.list.children) {
      const on = Number(node.dataset.place) === place;
      node.tabIndex = on ? 0 : -1;
      node.setAttribute('aria-pressed', String(on));
      if (on) node.focus();
    }
    this.#place = place;
    this.#predict();
  }

  async #predict() {
    const turn = ++this.#turn;
    if (!this.info.has_model || this.#place === null) return;
    if (this.info.context && this.#tokens.length >= this.info.context) {
      this.next.replaceChildren(el('p.note', {}, t('too_long')));
      return;
    }
    try {
      const ids = this.#tokens.map(({ id }) => id);
      const answer = await getJson('api/next', { body: { ids, position: this.#place, top: TOP } });
      if (turn === this.#turn) this.#drawNext(answer);
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
    }
  }

  #drawNext({ top, actual }) {
    const last = this.#place === this.#tokens.length - 1;
    const most = Math.max(...top.map(({ logprob }) => logprob));
    const rows = top.map((token) => {
      const bar = el('span.fill');
      bar.style.width = `${100 * Math.exp(token.logprob - most)}%`;
      const cells = [el('span.word', { lang: 'und' }, visible(token)),
        el('span.track', { 'aria-hidden': 'true' }, bar), el('span.share', {}, percent(token.logprob))];
      const real = actual?.id === token.id;
      const title = t('append', { text: visible(token) });
      return el(real ? 'li.actual' : 'li', {}, last
        ? el('button', { type: 'button', title, onclick: () => this.#append(token) }, cells)
        : el('div', {}, cells));
    });
    const quoted = (place) => `“${visible(this.#tokens[place])}”`;
    const title = this.#place < 0 ? t('expects_first') : t('expects', { text: quoted(this.#place) });
    const note = actual && t('actual', {
      text: quoted(this.#place + 1), p: percent(actual.logprob), rank: formatNumber(actual.rank, 9),
    });
    this.next.replaceChildren(el('h2', {}, title), el('p.note', {}, note ?? ''), el('ol.bars', {}, rows));
  }

  // The token itself is added, not its text: cut anew, the text might make other tokens.
  #append(token) {
    this.#tokens = [...this.#tokens, token];
    this.#place = this.#tokens.length - 1;
    if (token.text !== null) {
      this.#text += token.text;
      this.input.value = this.#text;
    }
    this.#drawTokens();
    this.#predict();
  }
}

export default new Playground();
