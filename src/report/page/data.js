// The run, as run.json has it, and how its figures are written.

const root = document.documentElement;
root.dataset.errors = '0';
addEventListener('error', event => {
  root.dataset.errors = String(Number(root.dataset.errors) + 1);
  root.dataset.error = event.message;
});
addEventListener('unhandledrejection', event => {
  root.dataset.errors = String(Number(root.dataset.errors) + 1);
  root.dataset.error = String(event.reason);
});

const run = JSON.parse(document.getElementById('run').textContent);
const texts = JSON.parse(document.getElementById('texts').textContent);

const baselineScore = run.baseline.score;
const baselineLatency = run.baseline.latency_ms.predicted;
const latencyUnit = run.baseline.latency_ms.unit;
const isDamageGate = run.gate === 'damage';

function isPartial(figures) {
  return figures.samples > 0 && figures.samples_scored < figures.samples;
}

function grouped(number) {
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ',');
}

// Moved off the ties between two roundings, as in the text report: the same digits stand in both.
function untied(number) {
  return number * (1 + 1e-12);
}

function fixed(number, decimals) {
  return untied(number).toFixed(decimals);
}

function significant(number, digits = 3) {
  if (number === null || number === undefined) return '';
  if (number === 0) return '0';
  const size = Math.abs(number);
  if (size >= 10 ** digits && size < 1e9) return grouped(untied(number));
  if (size >= 1e-4 && size < 1e9) return String(Number(untied(number).toPrecision(digits)));
  return untied(number).toExponential(digits - 1).replace(/\.?0*e/, 'e').replace(/e([+-])(\d)$/, 'e$10$2');
}

// As many digits, from `least` on, as tell a number from the limits: what is above one looks so.
function beside(write, least, most, looksRight) {
  let digits = least;
  while (digits < most && !looksRight(Number(write(digits)))) ++digits;
  return write(digits);
}

function percent(share, decimals = 1) {
  return fixed(100 * share, decimals) + ' %';
}

function change(from, to) {
  if (!(from > 0) || to === null || to === undefined) return '';
  const share = to / from - 1;
  return (share >= 5e-4 ? '+' : '') + percent(Math.abs(share) < 5e-4 ? 0 : share);
}

function latency(value, unit = latencyUnit) {
  if (value === null || value === undefined) return '';
  return unit === 'ms' && value < 0.1 ? significant(1000 * value, 4) + ' us' : significant(value, 4) + ' ' + unit;
}

// What figures of evaluations that ended early are: bounds.
function bound(figures, word, text) {
  return isPartial(figures) ? word + ' ' + text : text;
}

function kept(figures, baseline = baselineScore) {
  if (!(figures.samples > 0) || !(baseline > 0) || figures.score === null) return '';
  const share = 100 * (figures.score / baseline);
  const looksRight = shown => texts.keeps.every(keep => (shown < keep - 1e-9) === (share < keep - 1e-9));
  return bound(figures, 'at most', beside(digits => fixed(share, digits), texts.kept_decimals, 10, looksRight) + ' %');
}

function damage(figures) {
  if (!(figures.samples > 0)) return '';
  const looksRight = shown => texts.budgets.every(budget => (shown > budget) === (figures.damage > budget));
  return bound(figures, 'at least', beside(digits => significant(figures.damage, digits), 3, 15, looksRight));
}

function interval(figures) {
  if (!figures.interval) return '';
  return fixed(100 * figures.interval[0], 2) + ' to ' + percent(figures.interval[1], 2);
}

function gateText(target) {
  if (target.gate === 'damage') return 'damage at most ' + significant(target.budget, 6);
  return Number((100 * target.keep).toPrecision(10)) + ' %' + (target.gate === 'confidence' ? ' with confidence' : '');
}

// "8" and "w4a8" as bits of weight and activation.
function bits(precision) {
  const widths = /^w(\d+)a(\d+)$/.exec(precision);
  return widths ? [Number(widths[1]), Number(widths[2])] : [Number(precision), Number(precision)];
}

function byBits(a, b) {
  const [x, y] = [bits(a), bits(b)];
  return y[0] + y[1] - x[0] - x[1] || y[0] - x[0];
}

// "4 at 4, 16 at 8"
function composition(precisions) {
  const counts = new Map();
  for (const precision of precisions) counts.set(precision, (counts.get(precision) ?? 0) + 1);
  return [...counts.keys()].sort(byBits).reverse().map(name => counts.get(name) + ' at ' + name).join(', ');
}

const targets = run.targets ?? [];
const planWords = run.sites.map(site => site.precision).join(' ');
const usedPrecisions = [...new Set(run.options.precisions)].sort(byBits);
const scoredPrecisions = [
  ...new Set(Object.values(run.sensitivity?.scores ?? {}).flatMap(scores => Object.keys(scores)))
].sort(byBits);
const stepOf = new Map(run.evaluations.map((step, index) => [step.plan_digest, index]));
