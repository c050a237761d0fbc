// A card with lines over steps or hours.

import './vendor/chart.js';
import { el } from './dom.js';
import { formatNumber, t } from './i18n.js';
import { smooth, thin } from './metrics.js';

const { Chart } = globalThis;

const LIGHT = ['#1f7a6d', '#c2571a', '#5b55c9', '#b83279', '#7a7d1c', '#1c6fb8', '#8a5a2b', '#5f666d'];
const DARK = ['#5fcab6', '#f09a63', '#a9a4ff', '#f48dc0', '#cfd166', '#74b6f2', '#d6a878', '#b4bac1'];
const MAX_POINTS = 800;

const darkNow = () => getComputedStyle(document.documentElement).colorScheme === 'dark'
  || (document.documentElement.dataset.theme === undefined && matchMedia('(prefers-color-scheme: dark)').matches);

export const colourOf = (i) => (darkNow() ? DARK : LIGHT)[i % LIGHT.length];
export const colours = LIGHT.length;

export class LineChart {
  // key: of the measure. scale: what values are multiplied with. log: whether a log scale makes sense.
  constructor({ key, title, scale = 1, log = false, smoothed = false }) {
    Object.assign(this, { key, title, scale, log, smoothed });
    this.canvas = el('canvas', { role: 'img' });
    this.now = el('span.now');
    this.node = el('figure.card', {},
      el('figcaption', {}, el('span', {}, title), this.now), el('div.plot', {}, this.canvas));
    this.chart = null;
  }

  // runs: [{name, colour, metrics}]
  update(runs, { axis, log, smoothing }) {
    const shown = runs.filter(({ metrics }) => metrics.series.get(this.key)?.steps.length);
    this.node.hidden = shown.length === 0;
    if (this.node.hidden) return;
    const datasets = [];
    for (const { name, colour, metrics } of shown) {
      const points = metrics.points(this.key, axis).map(({ x, y }) => ({ x, y: y === null ? null : y * this.scale }));
      const line = (data, extra) => ({
        label: name, data: thin(data, MAX_POINTS), borderColor: colourOf(colour), backgroundColor: colourOf(colour),
        borderWidth: 1.75, pointRadius: points.length < 40 ? 2 : 0, pointHoverRadius: 4, pointHitRadius: 0, ...extra,
      });
      if (this.smoothed && smoothing > 0) {
        datasets.push(line(smooth(points, smoothing), { order: 0 }));
        const pale = { borderColor: `${colourOf(colour)}44`, borderWidth: 1, pointRadius: 0 };
        datasets.push(line(points, { ...pale, order: 1, raw: true }));
      } else {
        datasets.push(line(points, {}));
      }
    }
    this.#draw(datasets, axis, log && this.log);
    const latest = shown.map(({ metrics }) => formatNumber((metrics.latest(this.key) ?? NaN) * this.scale));
    const values = shown.map(({ name }, i) => `${name} ${latest[i]}`).join(', ');
    this.canvas.setAttribute('aria-label', t('chart_of', { name: this.title, values }));
    this.now.textContent = latest.length === 1 ? latest[0] : '';
  }

  // A line that is flat but for rounding is shown flat.
  #room(datasets) {
    const values = datasets.flatMap(({ data }) => data.map(({ y }) => y)).filter((y) => y !== null);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const pad = high - low < 0.01 * Math.abs(high) ? 0.05 * Math.abs(high) : 0;
    return pad ? { suggestedMin: low - pad, suggestedMax: high + pad } : {};
  }

  #draw(datasets, axis, log) {
    this.chart ??= new Chart(this.canvas, { type: 'line', data: { datasets: [] }, options: {} });
    const dim = getComputedStyle(this.node.querySelector('figcaption')).color;
    const grid = darkNow() ? '#ffffff14' : '#00000010';
    const font = { size: 11, family: getComputedStyle(document.body).fontFamily };
    const ticks = { color: dim, maxTicksLimit: 6, maxRotation: 0, font, callback: (x) => formatNumber(x) };
    const hours = { display: axis === 'time', text: t('hours'), color: dim, font };
    const room = log ? {} : this.#room(datasets);
    this.chart.options = {
      animation: false, responsive: true, maintainAspectRatio: false, parsing: false, normalized: true,
      interaction: { mode: 'nearest', axis: 'x', intersect: false },
      scales: {
        x: { type: 'linear', grid: { display: false, borderColor: grid }, ticks, title: hours },
        y: { type: log ? 'logarithmic' : 'linear', grid: { color: grid, drawBorder: false }, ticks, ...room },
      },
      plugins: {
        legend: { display: false },
        tooltip: {
          filter: ({ dataset }) => !dataset.raw,
          displayColors: datasets.length > 1, boxWidth: 8, boxHeight: 8, padding: 8,
          callbacks: {
            title: (items) => (items.length ? `${t(axis)} ${formatNumber(items[0].parsed.x, 6)}` : ''),
            label: ({ dataset, parsed }) => ` ${dataset.label}  ${formatNumber(parsed.y, 5)}`,
          },
        },
      },
    };
    this.chart.data.datasets = datasets;
    this.chart.update('none');
  }

  destroy() {
    this.chart?.destroy();
  }
}
