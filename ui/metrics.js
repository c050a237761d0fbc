// The lines of a run's metrics.jsonl as series, one for each measure.

const isObject = (x) => typeof x === 'object' && x !== null && !Array.isArray(x);

// {key: number} of a line; objects of numbers become "key/inner". null, which stands for a number that
// was not finite, leaves a gap.
function* numbersIn(line, prefix = '') {
  for (const [key, value] of Object.entries(line)) {
    if (prefix === '' && (key === 'step' || key === 'time')) continue;
    if (typeof value === 'number' || value === null) yield [prefix + key, value];
    else if (isObject(value) && prefix === '') yield* numbersIn(value, `${key}/`);
  }
}

// Points in the order of their steps; a later one about the same step replaces.
class Series {
  steps = [];
  times = [];
  values = [];

  set(step, time, value) {
    let i = this.steps.length;
    while (i > 0 && this.steps[i - 1] > step) --i;
    const replaced = i > 0 && this.steps[i - 1] === step ? 1 : 0;
    this.steps.splice(i - replaced, replaced, step);
    this.times.splice(i - replaced, replaced, time);
    this.values.splice(i - replaced, replaced, value);
  }

  dropAfter(step) {
    let n = this.steps.length;
    while (n > 0 && this.steps[n - 1] > step) --n;
    for (const column of [this.steps, this.times, this.values]) column.length = n;
  }
}

export class Metrics {
  constructor() {
    this.clear();
  }

  clear() {
    this.series = new Map();   // by key
    this.samples = new Map();  // step -> [text]
    this.begun = null;         // time of the first line, in seconds since 1970
    this.version = (this.version ?? 0) + 1;  // grows with every change
  }

  // A line {"step": s, "resumed": true} voids what was said of steps after s.
  add(lines) {
    if (lines.length) ++this.version;
    for (const line of lines) {
      if (!isObject(line) || !Number.isInteger(line.step)) continue;
      const { step, time = null } = line;
      if (line.resumed) {
        for (const series of this.series.values()) series.dropAfter(step);
        for (const at of [...this.samples.keys()]) if (at > step) this.samples.delete(at);
        continue;
      }
      this.begun ??= time;
      if (Array.isArray(line.samples)) this.samples.set(step, line.samples.map(String));
      for (const [key, value] of numbersIn(line)) {
        if (!this.series.has(key)) this.series.set(key, new Series());
        this.series.get(key).set(step, time, value);
      }
    }
  }

  keys() {
    return [...this.series].filter(([, series]) => series.steps.length).map(([key]) => key);
  }

  // The last value of a measure, or undefined.
  latest(key) {
    return this.series.get(key)?.values.at(-1) ?? undefined;
  }

  // Points {x, y} of a measure. axis: 'step', or 'time' in hours since the run's first line.
  points(key, axis) {
    const series = this.series.get(key);
    if (!series) return [];
    const { steps, times, values } = series;
    return steps.map((step, i) => ({ x: axis === 'time' ? (times[i] - this.begun) / 3600 : step, y: values[i] }));
  }

  // Seconds until step `end`, by the mean of the last steps' times; undefined where unknown.
  secondsLeft(end) {
    const series = this.series.get('train/dt');
    if (!series?.steps.length || !end) return undefined;
    const recent = series.values.slice(-50).filter((x) => x !== null);
    return Math.max(0, end - 1 - series.steps.at(-1)) * recent.reduce((a, b) => a + b, 0) / recent.length;
  }
}

// Exponential mean with weight w for the past, corrected for its start (Kingma & Ba 2014, section 3).
export function smooth(points, w) {
  let mean = 0;
  let weight = 0;
  return points.map(({ x, y }) => {
    if (y === null) return { x, y };
    mean = w * mean + (1 - w) * y;
    weight = w * weight + (1 - w);
    return { x, y: mean / weight };
  });
}

// At most about `most` points: of each stretch the lowest and the highest, so that no spike is lost.
export function thin(points, most) {
  if (points.length <= most) return points;
  const width = Math.ceil((2 * points.length) / most);
  const kept = [];
  for (let i = 0; i < points.length; i += width) {
    let low = i;
    let high = i;
    for (let j = i; j < Math.min(i + width, points.length); ++j) {
      if (points[j].y < points[low].y) low = j;
      if (points[j].y > points[high].y) high = j;
    }
    kept.push(...[...new Set([low, high])].sort((a, b) => a - b).map((j) => points[j]));
  }
  if (kept.at(-1) !== points.at(-1)) kept.push(points.at(-1));
  return kept;
}
