// Draws the report out of the data beside it. Whatever comes from files or models goes into the
// page as text, never as markup.
'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const main = document.getElementById('main');
  const kStages = ['base', 'mid', 'sft', 'rl'];
  const kStageNames = {base: 'Base model', mid: 'Midtraining', sft: 'Finetuning', rl: 'Reinforcement learning'};
  const kStageColours = {base: '#8b95a7', mid: '#0ea5a4', sft: '#3b82f6', rl: '#e0703a'};
  const kColours = ['#3b82f6', '#e0703a', '#10a37f', '#a855f7', '#d9a514', '#e0467c', '#0ea5c6', '#7c8a2e'];
  // What is drawn first, in this order; other keys of a run follow under their own names.
  const kCharts = [
    {title: 'Training loss', keys: ['train/smooth_loss', 'train/loss']},
    {title: 'Validation, bits per byte', keys: ['val/bpb']},
    {title: 'Learning rate multiplier', keys: ['train/lrm'], zero: true},
    {title: 'Tokens per second', keys: ['train/tok_per_sec'], zero: true},
    {title: 'MFU, %', keys: ['train/mfu'], scale: 100, zero: true},
    {title: 'Gradient norm', keys: ['train/grad_norm']},
    {title: 'Reward', keys: ['rl/reward']},
    {title: 'Solved within k answers (pass@k)', pattern: /^eval\/(pass@\d+)$/},
    {title: 'Exams', pattern: /^chat\/(.*)$/},
    {title: 'Length of answers, tokens', keys: ['rl/length']},
    {title: 'Validation loss', keys: ['val/loss']},
  ];
  const kNotDrawn = new Set(['val/bytes', 'train/dt', 'train/wait', 'train/tokens', 'train/supervised', 'eval/questions']);

  // el('p.dim', {title: 'x'}, 'text', child): an element.
  function el(what, attributes, ...children) {
    const [tag, ...classes] = what.split('.');
    const element = document.createElement(tag);
    if (classes.length) element.className = classes.join(' ');
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
      else element.setAttribute(key, value);
    }
    for (const child of children) if (child !== null && child !== undefined) element.append(child);
    return element;
  }

  const isNumber = (x) => typeof x === 'number' && Number.isFinite(x);
  function format(x) {
    if (x === null || x === undefined) return '–';
    if (Array.isArray(x)) return x.map(format).join(', ');
    if (typeof x === 'object') return JSON.stringify(x);
    if (!isNumber(x)) return String(x);
    const size = Math.abs(x);
    if (size >= 1e15 || (size > 0 && size < 0.001)) return x.toPrecision(4);
    if (size >= 10000) return Math.round(x).toLocaleString('en-US');
    return String(Number(x.toFixed(4)));
  }
  function short(x) {
    for (const [unit, size] of [['T', 1e12], ['B', 1e9], ['M', 1e6], ['K', 1e3]]) {
      if (Math.abs(x) >= size) return Number((x / size).toPrecision(3)) + unit;
    }
    return String(Number(x.toPrecision(3)));
  }
  function duration(seconds) {
    const s = Math.round(seconds);
    if (s >= 3600) return Math.floor(s / 3600) + 'h' + Math.floor(s % 3600 / 60) + 'm';
    return s >= 60 ? Math.floor(s / 60) + 'm' + s % 60 + 's' : s + 's';
  }

  // Charts, made anew when the theme changes.
  const makers = [];
  let charts = [];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  function drawAll() {
    for (const chart of charts) chart.destroy();
    Chart.defaults.color = css('--dim');
    Chart.defaults.borderColor = css('--line');
    Chart.defaults.font.family = 'system-ui, sans-serif';
    Chart.defaults.animation = false;
    charts = makers.map((make) => make());
  }

  const tooltip = (extra) => ({
    backgroundColor: css('--text'), titleColor: css('--card'), bodyColor: css('--card'),
    displayColors: true, boxWidth: 8, boxHeight: 8, padding: 10, ...extra,
  });

  // lines: [{label, colour, faint, x, y, run}]
  function lineChart(title, lines, options) {
    const canvas = el('canvas', {role: 'img', 'aria-label': title});
    const positive = lines.every((line) => line.y.every((y) => y > 0));
    let log = false, chart = null;
    const toggle = el('button', {
      type: 'button', 'aria-pressed': 'false', title: 'logarithmic scale',
      onclick: () => {
        log = !log;
        toggle.setAttribute('aria-pressed', String(log));
        chart.options.scales.y.type = log ? 'logarithmic' : 'linear';
        chart.update();
      },
    }, 'log');
    makers.push(() => {
      const lonely = lines.every((line) => line.x.length < 30);
      chart = new Chart(canvas, {
        type: 'line',
        data: {
          datasets: lines.map((line) => ({
            label: line.label,
            data: line.x.map((x, i) => ({x, y: line.y[i]})),
            borderColor: line.colour + (line.faint ? '50' : ''),
            backgroundColor: line.colour,
            borderWidth: line.faint ? 1 : 2,
            pointRadius: lonely ? 2.5 : 0, pointHoverRadius: 4, pointHitRadius: 8,
            tension: 0,
            hidden: line.run.hidden,
          })),
        },
        options: {
          parsing: false, responsive: true, maintainAspectRatio: false,
          interaction: {mode: 'nearest', axis: 'x', intersect: false},
          scales: {
            x: {type: 'linear', grid: {display: false},
                ticks: {maxTicksLimit: 8, precision: 0, callback: (x) => short(x)}},
            y: {type: log ? 'logarithmic' : 'linear', beginAtZero: Boolean(options.zero),
                ticks: {maxTicksLimit: 6, callback: (y) => short(y)}},
          },
          plugins: {
            legend: {display: Boolean(options.pattern), labels: {boxWidth: 10, boxHeight: 10}},
            tooltip: tooltip({callbacks: {
              title: (items) => items.length ? 'step ' + format(items[0].parsed.x) : '',
              label: (item) => ' ' + item.dataset.label + ': ' + format(item.parsed.y),
            }}),
          },
        },
      });
      for (const line of lines) line.run.charts.push([chart, lines]);
      return chart;
    });
    return el('div.card', {}, el('div.chart-head', {}, el('h3', {}, title), positive ? toggle : null),
              el('div.plot', {}, canvas));
  }

  // The standard error of each bar.
  const whiskers = {
    id: 'whiskers',
    afterDatasetsDraw(chart) {
      const {ctx} = chart;
      chart.data.datasets.forEach((dataset, d) => {
        if (!dataset.errors || !chart.isDatasetVisible(d)) return;
        chart.getDatasetMeta(d).data.forEach((bar, i) => {
          const value = dataset.data[i], error = dataset.errors[i];
          if (!isNumber(value) || !isNumber(error) || error === 0) return;
          const top = chart.scales.y.getPixelForValue(value + error);
          const bottom = chart.scales.y.getPixelForValue(value - error);
          ctx.save();
          ctx.strokeStyle = css('--text');
          ctx.lineWidth = 1;
          ctx.beginPath();
          ctx.moveTo(bar.x, top);
          ctx.lineTo(bar.x, bottom);
          ctx.stroke();
          ctx.restore();
        });
      });
    },
  };

  // A name beside its bar, cut where the page is narrow.
  function fitted(_, i) {
    const name = this.chart.data.labels[i];
    return this.chart.width < 480 && name.length > 21 ? name.slice(0, 20) + '…' : name;
  }

  function barChart(title, labels, datasets, options) {
    const canvas = el('canvas', {role: 'img', 'aria-label': title});
    const plot = el('div.plot', {}, canvas);
    if (options.sideways) plot.style.height = 60 + 22 * labels.length + 'px';
    makers.push(() => new Chart(canvas, {
      type: 'bar',
      data: {labels, datasets: datasets.map((d) => ({...d, borderRadius: 4, maxBarThickness: 36}))},
      plugins: options.sideways ? [] : [whiskers],
      options: {
        responsive: true, maintainAspectRatio: false, indexAxis: options.sideways ? 'y' : 'x',
        scales: {
          x: {grid: {display: Boolean(options.sideways)}, ticks: {autoSkip: false}},
          y: {grid: {display: !options.sideways}, beginAtZero: true,
              ...(options.sideways ? {ticks: {autoSkip: false, callback: fitted}}
                                   : {ticks: {maxTicksLimit: 6}, suggestedMax: options.max})},
        },
        plugins: {
          legend: {display: datasets.length > 1, labels: {boxWidth: 10, boxHeight: 10}},
          tooltip: tooltip({callbacks: {label: (item) => {
            const error = item.dataset.errors && item.dataset.errors[item.dataIndex];
            const n = item.dataset.examples && item.dataset.examples[item.dataIndex];
            return ' ' + item.dataset.label + ': ' + format(item.raw) +
                (isNumber(error) ? ' ±' + format(error) : '') + (n ? ' (' + format(n) + ' examples)' : '');
          }}}),
        },
      },
    }));
    return el('div.card.wide', {}, el('div.chart-head', {}, el('h3', {}, title)), plot);
  }

  const section = (name) => data.sections.find((s) => s.name === name);

  function addCards() {
    const training = section('base-model-training');
    const results = (training && training.results) || {};
    const row = (name) => data.summary.find((r) => r.metric === name);
    const last = (r) => r && r.cells.filter(Boolean).pop();
    const cards = [];
    const card = (value, label) => cards.push(el('div.card', {}, el('b', {}, value), el('span', {}, label)));
    if (isNumber(results.num_params)) card(short(results.num_params), 'parameters');
    if (isNumber(results.tokens)) card(short(results.tokens), 'tokens of pretraining');
    if (isNumber(results.val_bpb)) card(results.val_bpb.toFixed(4), 'bits per byte (base)');
    if (last(row('CORE'))) card(last(row('CORE')).value.toFixed(4), 'CORE');
    if (last(row('ChatCORE'))) card(last(row('ChatCORE')).value.toFixed(4), 'ChatCORE');
    if (data.wall_seconds > 0) card(duration(data.wall_seconds), 'of work in all');
    if (cards.length) main.append(el('div.cards', {}, ...cards));
  }

  function addProblems() {
    if (!data.problems.length) return;
    main.append(el('div.card.problem', {}, el('h3', {}, 'Not read'),
                   ...data.problems.map((problem) => el('p', {}, problem))));
  }

  function addSummary() {
    if (!data.summary.length) return;
    const cell = (c) => c === null ? el('td.dim', {}, '–')
        : el('td', {}, c.value.toFixed(4), isNumber(c.error) ? el('small', {}, '±' + c.error.toFixed(4)) : null);
    const counts = (row) => [...new Set(row.cells.filter((c) => c && c.examples).map((c) => format(c.examples)))].join(' / ');
    main.append(el('h2', {}, 'Summary'), el('div.card.scroll', {}, el('table', {},
        el('thead', {}, el('tr', {}, ...['Metric', 'BASE', 'MID', 'SFT', 'RL', 'Examples'].map((t) => el('th', {}, t)))),
        el('tbody', {}, ...data.summary.map((row) => el(
            /CORE$/.test(row.metric) ? 'tr.total' : 'tr', {},
            el('td', {}, row.metric), ...row.cells.map(cell), el('td.dim', {}, counts(row))))))));
  }

  function addEvaluations() {
    const grid = el('div.charts', {});
    const rows = data.summary.filter((row) => row.metric !== 'CORE');
    if (rows.length) {
      const datasets = kStages.map((stage, i) => ({
        label: stage.toUpperCase(), backgroundColor: kStageColours[stage],
        data: rows.map((row) => row.cells[i] ? row.cells[i].value : null),
        errors: rows.map((row) => row.cells[i] && row.cells[i].error),
        examples: rows.map((row) => row.cells[i] && row.cells[i].examples),
      })).filter((dataset) => dataset.data.some(isNumber));
      grid.append(barChart('Accuracy by task', rows.map((row) => row.metric), datasets, {max: 1}));
    }
    const core = section('base-model-evaluation');
    const tasks = Object.entries((core && core.results.tasks) || {})
        .filter(([, task]) => task && (isNumber(task.centered) || isNumber(task.accuracy)))
        .map(([name, task]) => [name, isNumber(task.centered) ? task.centered
            : (task.accuracy - (task.baseline || 0)) / (1 - (task.baseline || 0)), task.examples]);
    if (tasks.length) {
      tasks.sort((a, b) => b[1] - a[1]);
      grid.append(barChart('CORE, centred accuracy by task (0 is guessing)', tasks.map((t) => t[0]), [{
        label: core.model || 'base', backgroundColor: kStageColours.sft,
        data: tasks.map((t) => t[1]), examples: tasks.map((t) => t[2]),
      }], {sideways: true}));
    }
    if (grid.children.length) main.append(el('h2', {}, 'Evaluations'), grid);
  }

  function sampleCard(run) {
    const texts = el('div', {});
    const label = el('span.dim', {});
    const show = (i) => {
      label.textContent = 'step ' + format(run.samples[i].step);
      texts.replaceChildren(...run.samples[i].texts.map(sampleOf));
    };
    const last = run.samples.length - 1;
    const slider = el('input', {type: 'range', min: 0, max: last, value: last, 'aria-label': 'step',
                                oninput: () => show(Number(slider.value))});
    show(last);
    return el('div.card', {}, el('div.chart-head', {}, el('h3', {}, 'What ' + run.tag + ' writes'),
                                 last > 0 ? slider : null, label), texts);
  }
  // A text, or an object with a prompt, an answer and whatever else is known of it.
  function sampleOf(sample) {
    if (sample === null || typeof sample !== 'object') return el('blockquote', {}, String(sample));
    const {prompt, answer, ...others} = sample;
    const notes = Object.entries(others).map(([key, value]) => key + ' ' + format(value)).join(', ');
    return el('blockquote', {}, prompt === undefined ? null : el('span.dim', {}, String(prompt) + '\n'),
              answer === undefined ? null : String(answer), notes ? el('span.dim', {}, '\n' + notes) : null);
  }

  // A chart has one line for each run and key: two keys are a smooth and a raw one; the keys that
  // fit a pattern have colours of their own, as long as there is one run.
  function linesOf(runs, chart) {
    const lines = [];
    for (const run of runs) {
      const keys = chart.keys || Object.keys(run.curves).filter((key) => chart.pattern.test(key))
          .sort((a, b) => a.localeCompare(b, 'en', {numeric: true}));
      keys.forEach((key, i) => {
        const curve = run.curves[key];
        if (!curve || !curve.x.length) return;
        const scale = chart.scale || 1;
        const name = chart.pattern ? ' ' + key.match(chart.pattern)[1] : keys.length < 2 ? '' : i ? ' (each step)' : ' (smooth)';
        lines.push({label: chart.pattern && runs.length === 1 ? name.trim() : run.tag + name,
                    colour: chart.pattern && runs.length === 1 ? kColours[i % kColours.length] : run.colour,
                    faint: !chart.pattern && i > 0, x: curve.x, y: curve.y.map((y) => y * scale), run});
      });
    }
    return lines.sort((a, b) => a.faint - b.faint);
  }

  function addStage(stage) {
    const runs = data.runs.filter((run) => run.stage === stage);
    if (!runs.length) return;
    runs.forEach((run, i) => { Object.assign(run, {colour: kColours[i % kColours.length], hidden: false, charts: []}); });
    main.append(el('h2', {}, kStageNames[stage] || stage,
                   el('small', {}, runs.map((run) => run.tag + ': ' + format(run.last_step) + ' steps, ' +
                                                     duration(run.active_seconds)).join(' · '))));
    if (runs.length > 1) {
      main.append(el('div.chips', {}, ...runs.map((run) => {
        const chip = el('button', {type: 'button', 'aria-pressed': 'true', onclick: () => {
          run.hidden = !run.hidden;
          chip.setAttribute('aria-pressed', String(!run.hidden));
          for (const [chart, lines] of run.charts) {
            if (!charts.includes(chart)) continue;  // of an earlier theme
            lines.forEach((line, i) => chart.setDatasetVisibility(i, !line.run.hidden));
            chart.update();
          }
        }}, el('i', {style: 'background:' + run.colour}), run.tag);
        return chip;
      })));
    }
    const isDrawn = (key) => kNotDrawn.has(key) ||
        kCharts.some((chart) => chart.keys ? chart.keys.includes(key) : chart.pattern.test(key));
    const others = [...new Set(runs.flatMap((run) => Object.keys(run.curves)))].filter((key) => !isDrawn(key)).sort();
    const grid = el('div.charts', {});
    for (const chart of [...kCharts, ...others.map((key) => ({title: key, keys: [key]}))]) {
      const lines = linesOf(runs, chart);
      if (lines.length) grid.append(lineChart(chart.title, lines, chart));
    }
    main.append(grid);
    const withSamples = runs.filter((run) => run.samples.length);
    if (withSamples.length) main.append(el('div.samples', {}, ...withSamples.map(sampleCard)));
  }

  // Lists for what is simple, tables for what is alike, and the same again for what is inside.
  function render(json, prefix) {
    const list = el('dl', {});
    const blocks = [];
    const isFlat = (x) => x !== null && typeof x === 'object' && !Array.isArray(x) &&
        Object.values(x).every((value) => value === null || typeof value !== 'object');
    for (const [key, value] of Object.entries(json)) {
      const name = prefix ? prefix + '.' + key : key;
      const rows = value !== null && typeof value === 'object' ? Object.entries(value) : [];
      if (rows.length && rows.every(([, row]) => isFlat(row))) {
        const columns = [...new Set(rows.flatMap(([, row]) => Object.keys(row)))];
        const named = !Array.isArray(value);
        blocks.push(el('h3', {}, name), el('div.scroll', {}, el('table', {},
            el('thead', {}, el('tr', {}, ...(named ? [''] : []).concat(columns).map((c) => el('th', {}, c)))),
            el('tbody', {}, ...rows.map(([rowName, row]) => el('tr', {},
                ...(named ? [rowName] : []).concat(columns.map((c) => format(row[c]))).map((t) => el('td', {}, t))))))));
      } else if (rows.length && typeof rows[0][1] === 'object') {
        for (const [, part] of rows) blocks.push(...(part && typeof part === 'object' ? render(part, name) : []));
      } else if (rows.length && !Array.isArray(value)) {
        blocks.push(...render(value, name));
      } else {
        list.append(el('dt', {}, name), el('dd', {}, format(value)));
      }
    }
    return list.children.length ? [list, ...blocks] : blocks;
  }

  function addSections() {
    const card = (title, note, parts) => el('details', {}, el('summary', {}, title, el('span.dim', {}, note)),
                                            el('div', {}, ...parts));
    main.append(el('h2', {}, 'All that was recorded'));
    main.append(card('Environment', '', render(data.system)));
    for (const s of data.sections) {
      const parts = render(s.results);
      if (Object.keys(s.settings).length) parts.push(el('h3', {}, 'Settings'), ...render(s.settings));
      const note = [s.model, s.finished.slice(0, 16).replace('T', ' '), duration(s.seconds)].filter(Boolean);
      main.append(card(s.title, note.join(' · '), parts));
    }
  }

  function initTheme() {
    const root = document.documentElement;
    try {
      const saved = localStorage.getItem('nanochat-theme');
      if (saved) root.setAttribute('data-theme', saved);
    } catch (e) { /* a file may have no storage */ }
    document.getElementById('theme').addEventListener('click', () => {
      const dark = getComputedStyle(root).colorScheme === 'dark';
      root.setAttribute('data-theme', dark ? 'light' : 'dark');
      try {
        localStorage.setItem('nanochat-theme', dark ? 'light' : 'dark');
      } catch (e) { /* likewise */ }
      drawAll();
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
  }

  const system = data.system;
  document.getElementById('subtitle').textContent =
      [data.generated.replace('T', ' ').replace('Z', ' UTC'), system.cpu_model, system.version && 'nanochat ' + system.version]
          .filter(Boolean).join(' · ');
  initTheme();
  addProblems();
  addCards();
  if (!data.runs.length && !data.sections.length) {
    main.append(el('p.dim', {}, 'Nothing has been trained in this folder yet.'));
  }
  addSummary();
  addEvaluations();
  kStages.forEach(addStage);
  addSections();
  drawAll();
})();
