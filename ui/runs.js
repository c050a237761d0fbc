// The training view: runs to choose from, their curves, samples and evaluations, while they train.

import { getJson } from './api.js';
import { LineChart, colourOf, colours } from './charts.js';
import { el } from './dom.js';
import { formatFixed, formatNumber, t } from './i18n.js';
import { explain } from './job.js';
import { Metrics } from './metrics.js';

const POLL_MS = 2000;
const STORED = 'nanochat.training';

// Measures with a chart of their own, in this order. Others get one when they have two points.
const CHARTS = [
  { key: 'train/loss', name: 'm_loss', log: true, smoothed: true },
  { key: 'val/bpb', name: 'm_bpb', log: true },
  { key: 'train/lrm', name: 'm_lr' },
  { key: 'train/tok_per_sec', name: 'm_speed', smoothed: true },
  { key: 'train/mfu', name: 'm_mfu', scale: 100, smoothed: true },
  { key: 'train/grad_norm', name: 'm_grad', log: true, smoothed: true },
  { key: 'train/wait', name: 'm_wait', smoothed: true },
];
const NOT_DRAWN = ['train/smooth_loss', 'train/dt', 'val/bytes'];

// Stages in the order in which a model goes through them; others behind.
const STAGES = ['base', 'mid', 'sft', 'rl'];
const rank = ({ stage }) => (STAGES.indexOf(stage) + STAGES.length + 1) % (STAGES.length + 1);
const inOrder = (runs) => runs.sort((a, b) => rank(a) - rank(b) || nameOf(a).localeCompare(nameOf(b)));

const nameOf = ({ stage, tag }) => `${stage}/${tag}`;

function storedView() {
  const view = { chosen: null, axis: 'step', log: false, smoothing: 0.9 };
  try {
    const stored = JSON.parse(localStorage.getItem(STORED)) ?? {};
    if (Array.isArray(stored.chosen)) view.chosen = stored.chosen.filter((x) => typeof x === 'string').slice(0, 50);
    if (stored.axis === 'time') view.axis = 'time';
    view.log = stored.log === true;
    if (stored.smoothing >= 0 && stored.smoothing <= 0.99) view.smoothing = stored.smoothing;
  } catch {
    // Nothing stored, or nothing of ours.
  }
  return view;
}

function duration(seconds) {
  if (seconds === undefined || !Number.isFinite(seconds)) return '–';
  const [h, m] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  return h ? `${h}:${String(m).padStart(2, '0')} h` : `${m}:${String(Math.floor(seconds % 60)).padStart(2, '0')} min`;
}

const number = (x, digits) => (typeof x === 'number' ? formatNumber(x, digits) : '–');

const fixed = (x) => (typeof x === 'number' ? formatFixed(x, 3) : '–');

class Training {
  #runs = [];           // of /api/runs
  #loaded = new Map();  // by name: {metrics, offset, updated, colour}
  #view = storedView();
  #charts = new Map();  // by key
  #timer = 0;
  #samplesDrawn = '';

  start(node) {
    this.node = node;
    this.#build();
    const rebuild = () => { if (!node.hidden) { this.#build(); this.#draw(); } else { this.stale = true; } };
    addEventListener('restyle', rebuild);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', rebuild);
    document.addEventListener('visibilitychange', () => { if (!document.hidden && !node.hidden) this.shown(); });
  }

  shown() {
    if (this.stale) this.#build();
    this.stale = false;
    clearTimeout(this.#timer);
    this.#poll();
  }

  hidden() {
    clearTimeout(this.#timer);
  }

  #build() {
    for (const chart of this.#charts.values()) chart.destroy();
    this.#charts.clear();
    this.#samplesDrawn = '';
    const view = this.#view;
    const axis = (key) => el('label', {}, el('input', {
      type: 'radio', name: 'axis', checked: view.axis === key, onchange: () => this.#set({ axis: key }),
    }), el('span', {}, t(key)));
    const log = el('input', {
      type: 'checkbox', checked: view.log, onchange: ({ target }) => this.#set({ log: target.checked }),
    });
    const smoothing = el('input', {
      type: 'range', min: 0, max: 0.99, step: 0.01, value: view.smoothing,
      oninput: ({ target }) => this.#set({ smoothing: target.valueAsNumber }),
    });
    this.problem = el('div.error', { role: 'alert', hidden: true });
    this.chips = el('fieldset.chips', {}, el('legend.offscreen', {}, t('runs')));
    this.figures = el('div.table');
    this.grid = el('div.grid');
    this.samples = el('section.samples');
    this.evals = el('section');
    this.empty = el('p.blank', { role: 'status', hidden: true });
    this.controls = el('div.controls', {},
      el('fieldset.choice', {}, el('legend.offscreen', {}, t('x_axis')), axis('step'), axis('time')),
      el('label.check', {}, log, t('log_scale')),
      el('label.check', {}, t('smoothing'), smoothing));
    this.node.replaceChildren(el('div.page.wide', {}, el('h1', {}, t('training')), this.problem, this.chips,
      this.empty, this.figures, this.controls, this.grid, this.samples, this.evals));
    this.chipsDrawn = '';
  }

  #set(values) {
    Object.assign(this.#view, values);
    try {
      localStorage.setItem(STORED, JSON.stringify(this.#view));
    } catch {
      // It holds until the page closes.
    }
    this.#draw();
  }

  async #poll() {
    if (document.hidden || this.node.hidden) return;
    try {
      this.#runs = inOrder(await getJson('api/runs'));
      this.#view.chosen ??= this.#firstChoice();
      for (const run of this.#chosen()) await this.#load(run);
      this.problem.hidden = true;
    } catch (error) {
      this.problem.textContent = t('runs_failed', { why: explain(error) });
      this.problem.hidden = false;
    }
    this.#draw();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#poll(), POLL_MS);
  }

  #firstChoice() {
    const running = this.#runs.filter((run) => run.running).map(nameOf);
    if (running.length || !this.#runs.length) return running.length ? running : null;
    return [nameOf(this.#runs.reduce((a, b) => (b.updated > a.updated ? b : a)))];
  }

  #chosen() {
    return this.#runs.filter((run) => this.#view.chosen?.includes(nameOf(run)));
  }

  #entry(name) {
    if (!this.#loaded.has(name)) {
      const taken = new Set([...this.#loaded.values()].map(({ colour }) => colour));
      const free = [...Array(colours).keys()].find((i) => !taken.has(i)) ?? this.#loaded.size % colours;
      this.#loaded.set(name, { metrics: new Metrics(), offset: 0, updated: null, colour: free });
    }
    return this.#loaded.get(name);
  }

  async #load(run) {
    const entry = this.#entry(nameOf(run));
    if (entry.updated === run.updated && !run.running) return;
    const url = `api/runs/${encodeURIComponent(run.stage)}/${encodeURIComponent(run.tag)}/metrics?from=`;
    for (;;) {
      const { offset, lines, reset, more } = await getJson(url + entry.offset);
      if (reset) entry.metrics.clear();
      entry.metrics.add(lines);
      entry.offset = offset;
      if (!more) break;
    }
    entry.updated = run.updated;
  }

  #draw() {
    const chosen = this.#chosen();
    const runs = chosen.map((run) => ({ ...this.#entry(nameOf(run)), name: nameOf(run), run }));
    this.#drawChips();
    const none = this.#runs.length === 0 ? ['no_runs', 'no_runs_hint'] : chosen.length === 0 ? ['choose_run'] : null;
    this.empty.hidden = none === null;
    this.empty.replaceChildren(...(none ?? []).map((key, i) => el(i ? 'span' : 'strong', {}, t(key))));
    for (const part of [this.figures, this.controls, this.grid]) part.hidden = none !== null;
    this.#drawFigures(runs);
    this.#drawCharts(runs);
    this.#drawSamples(runs);
    this.#drawEvals(runs);
  }

  #drawChips() {
    const drawn = JSON.stringify([this.#runs, this.#view.chosen]);
    if (drawn === this.chipsDrawn) return;
    this.chipsDrawn = drawn;
    const focused = this.chips.contains(document.activeElement) ? document.activeElement.value : null;
    const chips = this.#runs.map((run) => {
      const name = nameOf(run);
      const on = this.#view.chosen?.includes(name) ?? false;
      const box = el('input', { type: 'checkbox', value: name, checked: on, onchange: () => this.#toggle(run) });
      const swatch = el('span.swatch');
      if (on) swatch.style.background = colourOf(this.#entry(name).colour);
      const steps = run.num_iterations ? `${number(run.step, 9)} / ${number(run.num_iterations, 9)}` : number(run.step, 9);
      return el(run.running ? 'label.chip.running' : 'label.chip', { title: t(run.running ? 'running' : 'finished') },
        box, swatch, el('span', {}, name), el('small', {}, steps), run.running && el('span.offscreen', {}, t('running')));
    });
    this.chips.replaceChildren(this.chips.firstChild, ...chips);
    if (focused) this.chips.querySelector(`input[value="${CSS.escape(focused)}"]`)?.focus();
  }

  async #toggle(run) {
    const name = nameOf(run);
    const chosen = this.#view.chosen ?? [];
    this.#set({ chosen: chosen.includes(name) ? chosen.filter((x) => x !== name) : [...chosen, name] });
    clearTimeout(this.#timer);
    await this.#poll();
  }

  #drawFigures(runs) {
    const row = ({ name, colour, metrics, run }) => {
      const swatch = el('span.swatch');
      swatch.style.background = colourOf(colour);
      const { step, num_iterations: max } = run;
      const bar = max && el('progress', { max, value: step, 'aria-label': t('step') });
      const mfu = metrics.latest('train/mfu');
      return el('tr', {}, el('th', { scope: 'row' }, swatch, name),
        el('td', {}, el('span.steps', {}, number(step, 9)), bar),
        el('td', {}, fixed(metrics.latest('train/smooth_loss') ?? metrics.latest('train/loss'))),
        el('td', {}, fixed(metrics.latest('val/bpb'))),
        el('td', {}, number(metrics.latest('train/tok_per_sec'), 3)),
        el('td', {}, mfu === undefined ? '–' : `${formatNumber(100 * mfu)} %`),
        el('td', {}, run.running ? duration(metrics.secondsLeft(max)) : '–'));
    };
    const head = ['step', 's_loss', 's_bpb', 's_speed'].map((key) => el('th', { scope: 'col' }, t(key)));
    const titles = el('tr', {}, el('td'), head, el('th', { scope: 'col' }, 'MFU'), el('th', { scope: 'col' }, t('s_left')));
    this.figures.replaceChildren(el('table', {}, el('thead', {}, titles), el('tbody', {}, runs.map(row))));
  }

  #drawCharts(runs) {
    const known = CHARTS.map(({ key }) => key);
    const curves = runs.flatMap(({ metrics }) => metrics.keys().filter((key) => metrics.series.get(key).steps.length > 1));
    const more = [...new Set(curves)].filter((key) => !known.includes(key) && !NOT_DRAWN.includes(key)).sort();
    for (const spec of [...CHARTS, ...more.map((key) => ({ key }))]) {
      if (!this.#charts.has(spec.key)) {
        const chart = new LineChart({ ...spec, title: spec.name ? t(spec.name) : spec.key });
        this.#charts.set(spec.key, chart);
        this.grid.append(chart.node);
      }
    }
    for (const chart of this.#charts.values()) chart.update(runs, this.#view);
    if (runs.length && runs.every(({ metrics }) => metrics.keys().length === 0)) {
      this.empty.hidden = false;
      this.empty.replaceChildren(t('no_metrics'));
    }
  }

  #drawSamples(runs) {
    const shown = runs.filter(({ metrics }) => metrics.samples.size);
    const drawn = JSON.stringify(shown.map(({ name, metrics }) => [name, [...metrics.samples.keys()]]));
    if (drawn === this.#samplesDrawn) return;
    this.#samplesDrawn = drawn;
    const cards = shown.map(({ name, colour, metrics }) => {
      const steps = [...metrics.samples.keys()].sort((a, b) => a - b);
      const list = el('ul');
      const label = el('span', {});
      const swatch = el('span.swatch');
      swatch.style.background = colourOf(colour);
      const showAt = (i) => {
        label.textContent = t('samples_at', { n: formatNumber(steps[i], 9) });
        list.replaceChildren(...metrics.samples.get(steps[i]).map((text) => el('li', { dir: 'auto' }, text)));
      };
      const last = steps.length - 1;
      const slider = el('input', {
        type: 'range', min: 0, max: last, value: last, 'aria-label': t('step'), hidden: last === 0,
        oninput: ({ target }) => showAt(target.valueAsNumber),
      });
      showAt(last);
      return el('div.card', {}, el('div.sample-head', {}, swatch, el('strong', {}, name), label, slider), list);
    });
    this.samples.replaceChildren(...(cards.length ? [el('h2', {}, t('samples')), ...cards] : []));
  }

  // Measures that have no chart of their own by name.
  #drawEvals(runs) {
    const known = [...CHARTS.map(({ key }) => key), ...NOT_DRAWN];
    const isEval = (key) => !known.includes(key) && !/^(train|rl)\//.test(key);
    const keys = [...new Set(runs.flatMap(({ metrics }) => metrics.keys()))].filter(isEval).sort();
    if (!keys.length) return this.evals.replaceChildren();
    const head = [t('measure'), ...runs.map(({ name }) => name)].map((text) => el('th', { scope: 'col' }, text));
    return this.evals.replaceChildren(el('h2', {}, t('evals')), el('div.table', {}, el('table', {},
      el('thead', {}, el('tr', {}, head)),
      el('tbody', {}, keys.map((key) => el('tr', {}, el('th', { scope: 'row' }, key),
        runs.map(({ metrics }) => el('td', {}, number(metrics.latest(key), 4)))))))));
  }
}

export default new Training();
