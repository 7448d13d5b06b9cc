// Every plan that was scored, by latency and by what it keeps.

// Small times are drawn in microseconds, as they are written.
const kPlaneUnit = latencyUnit === 'ms' && baselineLatency < 0.1 ? {name: 'us', scale: 1000} : {name: latencyUnit, scale: 1};
const kVerdicts = run.latency_target ? ['within the latency, predicted', 'slower, predicted']
    : targets.length > 1 ? ['passes a target', 'fails all targets'] : ['passes', 'fails'];
const kKinds = [targets.length > 1 ? 'a target\'s result' : 'the result', ...kVerdicts, 'bound: not scored on all samples', 'all at 16 bits'];

// Plans that are a target's result.
const resultPlans = new Set([planWords, ...targets.map(target => run.sites.map(site => target.plan[site.name]).join(' '))]);

function planePoints() {
  const points = run.evaluations.map((step, index) => ({
    plan: 'plan ' + (index + 1), kept: step.score === null ? null : 100 * step.score / baselineScore, damage: step.damage, latency: kPlaneUnit.scale * step.latency,
    kind: resultPlans.has(step.plan) ? kKinds[0] : isPartial(step) ? kKinds[3] : texts.verdicts[index] ? kKinds[1] : kKinds[2],
    keptText: kept(step), damageText: damage(step), latencyText: latency(step.latency),
    sites: composition(step.plan.split(' ')), passes: verdictText(index)
  }));
  points.push({
    plan: 'all at 16 bits', kept: 100, damage: run.baseline.damage, latency: kPlaneUnit.scale * baselineLatency, kind: kKinds[4],
    keptText: '100 %', damageText: significant(run.baseline.damage), latencyText: latency(baselineLatency),
    sites: composition(run.sites.map(() => '16')), passes: ''
  });
  return points;
}

function planeFrontier(points) {
  const found = run.frontier.map(digest => points[stepOf.get(digest)]).filter(Boolean);
  const baseline = points[points.length - 1];
  const isBeaten = found.some(point => point.latency <= baseline.latency && point.kept >= baseline.kept);
  return (isBeaten ? found : [...found, baseline]).sort((a, b) => a.latency - b.latency);
}

// The part of the vertical axis where it is decided, where some plans lie far from it: it ends with the data there.
function nearTarget(points, field) {
  if (field === 'damage') {
    const budgets = isDamageGate ? targets.map(target => target.budget) : [];
    const known = points.filter(point => point.kind !== kKinds[3]).map(point => point.damage);
    const most = Math.max(...budgets.map(budget => 3 * budget), 1.2 * Math.min(Math.max(...known), 10 * Math.max(...budgets)));
    const near = budgets.length > 0 ? points.map(point => point.damage).filter(value => value <= most) : known;
    return [0, 1.05 * Math.max(...near, ...budgets, 1e-12)];
  }
  const keeps = targets.map(target => target.keep).filter(keep => keep > 0).map(keep => 100 * keep);
  const loss = Math.max(100 - Math.min(...keeps, 100), 0.05);
  const near = [...points.map(point => point.kept).filter(kept => kept !== null && kept >= 100 - 4 * loss), ...keeps];
  const [low, high] = [Math.min(...near), Math.max(...near)];
  const margin = 0.06 * Math.max(high - low, 0.1);
  return [low - margin, high + margin];
}

function isOutside(point, field, [low, high]) {
  return point[field] < low || point[field] > high;
}

function outsideText(field, near) {
  const points = planePoints();
  const range = nearTarget(points, field);
  const outside = near ? points.filter(point => isOutside(point, field, range)).length : 0;
  return outside === 0 ? '' : outside + ' of ' + run.evaluations.length + ' plans lie outside.';
}

function planeSpec(width, field, near) {
  const points = planePoints();
  const [low, high] = nearTarget(points, field);
  const known = points.filter(point => point[field] !== null);
  const shown = near ? known.filter(point => !isOutside(point, field, [low, high])) : known;
  const limits = run.latency_target ? [] : targets.filter(target => (target.gate === 'damage') === (field === 'damage'));
  const rules = limits.map(target => ({value: field === 'damage' ? target.budget : 100 * target.keep, text: gateText(target)}));
  const x = {
    field: 'latency', type: 'quantitative', scale: {zero: false, padding: 16},
    axis: {title: 'Latency, ' + texts.estimate + ' (' + kPlaneUnit.name + ')', grid: false, tickCount: width < 500 ? 4 : 8}
  };
  const y = {
    field, type: 'quantitative',
    scale: near ? {domain: [low, high], nice: false, clamp: false} : {zero: field === 'damage', padding: 8},
    axis: {title: field === 'damage' ? 'Damage' : texts.score_noun[0].toUpperCase() + texts.score_noun.slice(1) + ' kept (%)'}
  };
  const tooltip = [
    {field: 'plan', title: 'plan'}, {field: 'sites', title: 'sites'}, {field: 'keptText', title: 'kept'},
    {field: 'damageText', title: 'damage'}, {field: 'latencyText', title: texts.estimate}, {field: 'kind', title: 'verdict'}, ...(targets.length > 1 ? [{field: 'passes', title: 'passes'}] : [])
  ];
  const byKind = values => ({
    field: 'kind', type: 'nominal', scale: {domain: kKinds, range: values},
    legend: {title: null, orient: 'bottom', columns: width < 560 ? 1 : width < 900 ? 3 : 5, direction: 'horizontal'}
  });
  const ink = [color('accent'), color('accent'), color('mark'), color('mark'), color('text')];
  return {
    width: width - 12, height: width < 560 ? 400 : Math.min(440, width * 0.42),
    autosize: {type: 'fit', contains: 'padding'},
    layer: [
      {
        data: {values: rules}, mark: {type: 'rule', strokeDash: [5, 4], color: color('soft'), clip: true},
        encoding: {y: {...y, field: 'value'}}
      },
      {
        data: {values: rules},
        mark: {type: 'text', align: 'left', baseline: 'bottom', dy: -3, dx: 4, color: color('soft'), fontSize: 12, clip: true},
        encoding: {y: {...y, field: 'value'}, x: {value: 0}, text: {field: 'text'}}
      },
      {
        data: {values: field === 'kept' ? planeFrontier(points) : []},
        mark: {type: 'line', interpolate: 'step-after', color: color('accent-mid'), strokeWidth: 1.5, clip: true},
        encoding: {x, y}
      },
      {
        data: {values: shown}, mark: {type: 'point', strokeWidth: 1.75, opacity: 1},
        encoding: {
          x, y, tooltip,
          shape: byKind(['diamond', 'circle', 'cross', 'triangle-down', 'square']),
          color: byKind(ink), fill: byKind([ink[0], ink[1], 'transparent', 'transparent', 'transparent']),
          size: {field: 'kind', type: 'nominal', scale: {domain: kKinds, range: [190, 60, 70, 60, 90]}, legend: null}
        }
      }
    ]
  };
}

// The targets that a plan passes, where there are several.
function verdictText(index) {
  const passed = texts.verdicts[index];
  if (targets.length > 1) return passed || 'none';
  return run.latency_target ? passed || 'predicted slower' : passed ? 'pass' : 'fail';
}

function planeTable() {
  const columns = [
    {title: 'plan', kind: 'number'}, {title: 'sites'}, {title: 'kept', kind: 'number'}, {title: 'damage', kind: 'number'},
    {title: texts.estimate, kind: 'number'}, {title: 'of 16 bits', kind: 'number'}, {title: 'samples', kind: 'number'},
    {title: targets.length > 1 ? 'passes' : 'verdict'}, {title: 'frontier'}
  ];
  const rows = run.evaluations.map((step, index) => [
    String(index + 1), composition(step.plan.split(' ')), kept(step), damage(step), latency(step.latency),
    change(baselineLatency, step.latency),
    isPartial(step) ? grouped(step.samples_scored) + ' of ' + grouped(step.samples) : grouped(step.samples),
    verdictText(index), run.frontier.includes(step.plan_digest) ? 'yes' : ''
  ]);
  return table('Plans in the order they were scored. Latency is ' + texts.estimate + '.', columns, rows,
               (row, index) => resultPlans.has(run.evaluations[index].plan));
}

function addPlane() {
  if (run.evaluations.length === 0 || !(baselineScore > 0)) return;
  let field = isDamageGate ? 'damage' : 'kept';
  let near = targets.some(target => target.keep !== null) || isDamageGate ? 'near' : 'all';
  const description = 'Plans scored, by latency (' + texts.estimate + ') and ' + texts.score_noun +
      ' kept or damage; the table below has the same figures.';
  const chart = plot(description, width => planeSpec(width, field, near === 'near'));
  const outside = element('span', {class: 'soft', role: 'status'}, outsideText(field, true));
  const redraw = () => {
    outside.textContent = outsideText(field, near === 'near');
    drawAll(true);
  };
  const partial = run.evaluations.filter(isPartial).length;
  const notes = [
    'Each mark is a plan that was scored; latencies are ' + texts.estimate + ', not measured.',
    'The line joins plans that no other one beats in both.',
    partial > 0 ? 'Hollow triangles are bounds: scoring ended once it was certain that the plan fails.' : ''
  ];
  section('plane', 'Plans by latency and quality', paragraph(notes.filter(Boolean).join(' '), {class: 'soft'}),
          texts.has_plots ? element('div', {class: 'controls'},
              choice('Vertical axis', [['kept', texts.score_noun + ' kept'], ['damage', 'damage']], field,
                     value => { field = value; redraw(); }),
              choice('Show', [['near', 'near the target'], ['all', 'every plan']], near,
                     value => { near = value; redraw(); }), outside) : null,
          chart, details('Plans as a table', planeTable()));
}
