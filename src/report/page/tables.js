// What is said in tables and lists.

function addHeadline() {
  const main = document.getElementById('main');
  if (texts.headline.length > 0)
    main.append(element('dl', {class: 'figures', 'aria-label': 'In short'}, texts.headline.map(figure => element(
        'div', {}, element('dt', {}, figure.label),
        element('dd', {}, element('span', {class: 'value'}, figure.value), basis(figure.basis)),
        element('dd', {class: 'detail'}, figure.detail)))));
  const cautions = [
    ...texts.caveats.map(text => element('li', {}, element('b', {}, 'Caution. '), text)),
    ...run.notes.map(text => element('li', {}, element('b', {}, 'Note. '), text))
  ];
  if (cautions.length > 0) main.append(element('ul', {class: 'cautions', 'aria-label': 'Cautions and notes'}, cautions));
}

function scoreTable() {
  const columns = [
    {title: ''}, {title: texts.score_noun, kind: 'number'}, ...(texts.is_accuracy ? [{title: 'correct', kind: 'number'}] : []),
    {title: 'samples', kind: 'number'}, {title: 'damage', kind: 'number'}, {title: 'kept', kind: 'number'},
    {title: '95 % interval', kind: 'number'}
  ];
  const rows = [];
  const add = (name, figures, baseline) => {
    if (!figures || !(figures.samples > 0)) return;
    const isBaseline = figures === baseline;
    rows.push([
      name, bound(figures, 'at most', texts.is_accuracy ? percent(figures.score, 2) : significant(figures.score, 6)),
      ...(texts.is_accuracy ? [bound(figures, 'at most', grouped(figures.score_count))] : []),
      grouped(figures.samples), damage(figures), kept(figures, baseline.score), isBaseline ? '' : interval(figures)
    ]);
  };
  add('float, as trained', run.float, run.baseline);
  add('baseline, all at 16 bits', run.baseline, run.baseline);
  add('plan', run.result, run.baseline);
  const other = run.other_score;
  const same = other?.same_samples;
  add('plan, on some', same?.plan, same?.baseline);
  add((same ? 'the same, ' : 'plan, ') + (other?.scored_in === 'simulation' ? 'simulated' : 'deployed'), other,
      same?.baseline ?? run.baseline);
  if (run.report?.baseline) {
    add('report part: baseline', run.report.baseline, run.report.baseline);
    add('report part: plan', run.report, run.report.baseline);
  }
  const place = run.scored_in === 'simulation' ? 'simulated'
      : run.scored_in ? 'deployed in ' + run.scored_in + (run.engine ? ', all but integers in ' + run.engine.float_type : '') : '';
  return rows.length === 0 ? null
      : table(place ? 'Scored ' + place + ', where not said otherwise.' : '', columns, rows, row => row[0] === 'plan');
}

// As the text report has it: see `explanations`.
function ofBaseline(timing) {
  if (!timing || !run.measured) return '';
  const ratio = timing.of_baseline;
  if (!ratio) return change(run.measured.baseline.minimum, timing.minimum);
  if (!ratio.interval) return change(1, ratio.value) + ', too few turns';
  const [low, high] = ratio.interval;
  return low > 1.0005 || high < 0.9995 ? change(1, ratio.value) : 'no difference';
}

function latencyTable() {
  const names = ['16', ...usedPrecisions.filter(name => name !== '16')];
  const rows = names.filter(name => name in run.uniform_latency || run.measured?.uniform?.[name]).map(name => [
    'all at ' + name + ' bits', run.uniform_latency[name], name === '16' ? run.measured?.baseline : run.measured?.uniform[name]
  ]);
  rows.push(['plan', run.result.latency_ms.predicted, run.measured?.plan]);
  if (!(baselineLatency > 0) && !run.measured) return null;
  const columns = [
    {title: ''}, {title: texts.estimate, kind: 'number'}, {title: 'of 16 bits', kind: 'number'},
    ...(run.measured ? [{title: 'measured, fastest', kind: 'number'}, {title: 'median', kind: 'number'}, {title: 'of 16 bits', kind: 'number'}] : [])
  ];
  const cells = rows.map(([name, predicted, timing]) => [
    name, latency(predicted), change(baselineLatency, predicted),
    ...(run.measured ? [latency(timing?.minimum, 'ms'), latency(timing?.median, 'ms'),
                        timing && timing !== run.measured.baseline ? ofBaseline(timing) : ''] : [])
  ]);
  const measured = run.measured ? ' Measured in ' + run.measured.engine + ', batch ' + run.measured.batch + ', ' +
      run.measured.threads + (run.measured.threads === 1 ? ' thread' : ' threads') + ', all but integers in ' +
      run.measured.float_type + '; load of the machine ' + fixed(run.measured.load, 1) +
      (run.measured.precise ? '.' : '; not all medians are known to 1 %.') : '';
  return table('Latency ' + run.baseline.latency_ms.origin + '.' + measured, columns, cells,
               row => row[0] === 'plan');
}

function addResults() {
  const scores = scoreTable();
  const latencies = latencyTable();
  if (!scores && !latencies) return;
  section('results', 'Results', scores, latencies, paragraph(texts.weights, {class: 'soft'}),
          texts.explanations.map(text => paragraph(text, {class: 'soft'})));
}

function addTargets() {
  if (targets.length < 2) return;
  const columns = [
    {title: 'target'}, {title: 'outcome'}, {title: 'sites'}, {title: 'kept', kind: 'number'}, {title: 'damage', kind: 'number'},
    {title: texts.estimate, kind: 'number'}, {title: 'of 16 bits', kind: 'number'},
    ...(run.measured ? [{title: 'measured, median', kind: 'number'}, {title: 'of 16 bits', kind: 'number'}] : []), {title: 'plan', kind: 'name'}
  ];
  const measured = target => target.measured ?? target.result.latency_ms;
  const rows = targets.map(target => [
    gateText(target), target.unsearched ? 'not searched' : target.status, composition(Object.values(target.plan)), kept(target.result), damage(target.result),
    latency(target.result.latency_ms.predicted), change(baselineLatency, target.result.latency_ms.predicted),
    ...(run.measured ? [latency(measured(target).median, 'ms'), target.measured ? ofBaseline(target.measured) : ''] : []),
    target.plan_file ?? ''
  ]);
  section('targets', 'Targets', table('Loosest first; the last is the main result: all else on this page is of its plan' +
                                      (run.report ? ', and the report part is scored for it alone' : '') + '. Latency ' + texts.estimate +
                                      ' unless a column says measured.', columns, rows, (row, index) => index === rows.length - 1));
}

function decisionsOf(target) {
  if (target?.decisions?.length > 0 || targets.length > 1) return target.decisions;
  return run.evaluations.map(step => ({plan_digest: step.plan_digest, passed: step.passed, text: step.decision}));
}

function storyTable(caption, target, label = caption) {
  const decisions = decisionsOf(target);
  const result = target ? run.sites.map(site => target.plan[site.name]).join(' ') : planWords;
  const columns = [
    {title: 'plan', kind: 'number'}, {title: 'sites'}, {title: 'kept', kind: 'number'}, {title: 'damage', kind: 'number'},
    {title: texts.estimate, kind: 'number'}, {title: 'verdict'}, {title: 'decision', kind: 'words'}
  ];
  return table(caption, columns, decisions.map(decision => {
    const index = stepOf.get(decision.plan_digest);
    const step = run.evaluations[index];
    if (!step) return ['', '', '', '', '', decision.passed ? 'pass' : 'fail', decision.text];
    return [
      String(index + 1), composition(step.plan.split(' ')), kept(step), damage(step), change(baselineLatency, step.latency),
      decision.passed ? 'pass' : 'fail', decision.text
    ];
  }), (row, index) => run.evaluations[stepOf.get(decisions[index].plan_digest)]?.plan === result, label);
}

function targetStory(target) {
  const head = 'For ' + gateText(target) + ': ' + (target.unsearched ? 'not searched: ' + target.unsearched : target.status) + '.';
  return decisionsOf(target).length > 0 ? storyTable(head, target) : paragraph(head, {class: 'soft'});
}

function addStory() {
  const {search, order, metric, sensitivity} = run.options;
  const how = 'Search ' + search + (order ? ' on the order ' + order : '') + ' by ' + metric +
      (sensitivity ? ' from ' + sensitivity : '') + ': ';
  const count = run.evaluations.length;
  const text = how + (count === 0 ? 'no plan was evaluated.' : count + (count === 1 ? ' plan evaluated.' : ' plans evaluated.')) +
      (run.status === 'stopped' ? ' Stopped ' + (run.stop_reason ?? 'on request') + '.' : '');
  const stories = count === 0 ? [] : targets.length > 1
      ? targets.map(targetStory)
      : [storyTable('', targets[0], 'Decisions')];
  section('search', 'The search', paragraph(text, {class: 'soft'}), stories);
}

function addRanges() {
  const {weight_methods: methods = [], adjustments = []} = run.ranges ?? {};
  if (methods.length === 0 && adjustments.length === 0) return;
  const rows = methods.map(choice => [
    'weights at ' + choice.bits + ' bits', 'by ' + choice.chosen + '; damage of all sites at ' + choice.precision + ': ' +
        Object.entries(choice.damage).map(([name, value]) => name + ' ' + significant(value)).join(', ')
  ]);
  for (const entry of adjustments)
    rows.push(['adjusted: ' + entry.plan, entry.stopped ? 'stopped' : 'damage ' + significant(entry.damage_before) + ' -> ' +
               significant(entry.damage_after) + ' on ' + entry.held_out + ' samples held out, step ' + entry.step_kept +
               ' of ' + entry.steps]);
  section('ranges', 'Ranges', paragraph('How the ranges of numbers were chosen, by damage on calibration samples.', {class: 'soft'}),
          definitions('Ranges', rows));
}

function addRun() {
  const data = Object.entries(run.data).map(([part, value]) =>
      value ? [part, grouped(value.samples), value.name, value.digest] : [part, 'none', '', '']);
  const seconds = (run.stages ?? Object.keys(run.seconds)).map(stage => [stage, run.seconds[stage]]);
  const total = seconds.reduce((sum, [, value]) => sum + value, 0);
  const said = value => value === null || value === undefined ? '' : Array.isArray(value) ? value.join(', ') : String(value);
  section('run-details', 'Data and run',
          element('h3', {}, 'Data'), table('', [{title: 'part'}, {title: 'samples', kind: 'number'}, {title: 'name', kind: 'name'}, {title: 'digest', kind: 'name'}], data, () => false, 'Data'),
          element('h3', {}, 'Time'),
          paragraph(fixed(total, 1) + ' seconds' + (seconds.length ? ': ' + seconds.map(([stage, value]) => stage + ' ' + fixed(value, 1)).join(', ') : '') +
                    '. Passes over one data part: ' + significant(run.passes.forward) + ' forward, ' + significant(run.passes.backward) + ' backward.'),
          element('h3', {}, 'Environment'), definitions('Environment', [['model digest', run.model_digest], ...Object.entries(run.environment)]),
          element('h3', {}, 'Options'), definitions('Options', Object.entries(run.options).map(([name, value]) => [name, said(value)])));
}
