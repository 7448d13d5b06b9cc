// Site by site in network order: precision, sensitivity, and the latency that its precision saves.

const kShapes = ['circle', 'triangle-up', 'square', 'diamond'];

function siteScore(index, precision) {
  return run.sensitivity?.scores?.[run.sites[index].name]?.[precision];
}

// Numbers of the sites that have a label, so that these can be read: at least `room` pixels apart where a site has `step`.
function labelledSites(step, room) {
  const every = [1, 2, 5, 10, 20, 50, 100].find(count => count * step >= room) ?? 1000;
  return run.sites.map((site, index) => index + 1).filter(number => number === 1 || number % every === 0);
}

function siteAxis(step) {
  return {
    title: null, labelAngle: -90, labelAlign: 'right', labelBaseline: 'middle', labelLimit: 130, grid: false, ticks: true,
    labelOverlap: false, values: labelledSites(step, 15)
  };
}

// Ticks of a logarithmic axis; undefined, so that Vega chooses, where there are fewer than two.
function powersOfTen(low, high) {
  const powers = [];
  for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); ++power) powers.push(10 ** power);
  return powers.length > 1 ? powers : undefined;
}

function layerRows(isNarrow) {
  const rows = [];
  const precisions = run.options.precisions.slice().sort(byBits);
  const common = index => ({site: index + 1, name: run.sites[index].name, chosen: run.sites[index].precision});
  rows.push({
    title: 'Precision, bits', height: 22 * precisions.length + 6,
    data: run.sites.map((site, index) => ({...common(index), precision: site.precision})),
    mark: {type: 'rect', color: color('accent-mid'), stroke: color('page'), strokeWidth: 0.5},
    encoding: {y: {field: 'precision', type: 'nominal', scale: {domain: precisions}, axis: {title: null, grid: true, tickBand: 'extent'}}},
    tooltip: [{field: 'precision', title: 'precision'}]
  });
  const scored = scoredPrecisions;
  const scores = run.sites.flatMap((site, index) => scored.map(
      precision => ({...common(index), precision, score: siteScore(index, precision)})));
  const positive = scores.map(entry => entry.score).filter(score => score > 0);
  if (positive.length > 0) {
    const least = Math.min(...positive);
    rows.push({
      title: isNarrow ? 'Sensitivity, lower is safer (log)' : 'Sensitivity by ' + run.sensitivity.metric + ', lower is safer (log scale)', height: 150,
      data: scores.map(entry => ({...entry, drawn: Math.max(entry.score, least), state: entry.precision === entry.chosen ? 'chosen' : 'not chosen'})),
      mark: {type: 'point', size: 38, opacity: 1, strokeWidth: 1.4},
      encoding: {
        y: {field: 'drawn', type: 'quantitative', scale: {type: 'log', nice: false, padding: 6}, axis: {title: null, values: powersOfTen(least, Math.max(...positive)), format: '~g'}},
        shape: {field: 'precision', type: 'nominal', scale: {domain: scored, range: kShapes.slice(0, scored.length)}, legend: {title: isNarrow ? 'at' : 'sensitivity at bits', titleOrient: 'left', orient: 'top', symbolFillColor: 'transparent', symbolStrokeColor: color('text')}},
        color: {value: color('accent')},
        fill: {field: 'state', type: 'nominal', scale: {domain: ['chosen', 'not chosen'], range: [color('accent'), 'transparent']}, legend: {title: null, orient: 'top', direction: 'horizontal', symbolStrokeColor: color('accent')}}
      },
      tooltip: [{field: 'precision', title: 'at bits'}, {field: 'score', title: 'sensitivity', format: '.3~g'}]
    });
  }
  if (run.sites.some(site => site.saving !== null) && baselineLatency > 0)
    rows.push({
      title: isNarrow ? 'Saves, % of all-16, ' + texts.estimate : 'Saves, % of the all-16 latency, ' + texts.estimate, height: 110,
      data: run.sites.map((site, index) => ({...common(index), saving: 100 * site.saving / baselineLatency})),
      mark: {type: 'bar', color: color('accent-mid')},
      encoding: {y: {field: 'saving', type: 'quantitative', axis: {title: null, tickCount: 4}}},
      tooltip: [{field: 'saving', title: 'saves, %', format: '.2f'}]
    });
  return rows;
}

function layersSpec(width) {
  const names = run.sites.map(site => site.name);
  const step = Math.max(7, (width - 70) / run.sites.length);
  const rows = layerRows(width < 560);
  return {
    vconcat: rows.map((row, index) => ({
      title: row.title, width: step * run.sites.length, height: row.height, data: {values: row.data}, mark: row.mark,
      encoding: {
        x: {
          field: 'site', type: 'ordinal', scale: {paddingInner: row.mark.type === 'bar' ? 0.2 : 0, domain: names.map((name, at) => at + 1)},
          axis: index + 1 < rows.length ? null : {...siteAxis(step), labelExpr: names.length <= 60 ? 'names[datum.value - 1]' : undefined}
        },
        ...row.encoding,
        tooltip: [{field: 'site', title: 'number'}, {field: 'name', title: 'site'}, ...row.tooltip]
      }
    })),
    params: [{name: 'names', value: names}], spacing: 14, resolve: {scale: {x: 'shared'}}
  };
}

function addLayers() {
  const parts = ['Sites stand in network order, numbered as in the table of sites.'];
  if (!run.sensitivity) parts.push('Sensitivities were not measured: no decision needed them.');
  if (run.sites.some(site => site.saving !== null))
    parts.push('"Saves" is what the site alone at 16 bits would cost the plan, ' + texts.estimate + '.');
  section('layers', 'Layers', paragraph(parts.join(' '), {class: 'soft'}),
          plot('Precision, sensitivity and latency saved of every site in network order; the table of sites has the same figures.',
               layersSpec));
}
