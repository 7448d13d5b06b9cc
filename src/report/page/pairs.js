// How pairs of sites act together, of metrics that tell.

// G[i][j] / sqrt(G[i][i] G[j][j]) at one precision; null where it is not defined.
function correlations(precision) {
  const {precisions, values} = run.sensitivity.pairs;
  const count = run.sites.length;
  const rows = count * precisions.length;
  const at = precisions.indexOf(precision);
  const value = (i, j) => values[(i * precisions.length + at) * rows + j * precisions.length + at];
  const entries = [];
  for (let i = 0; i < count; ++i)
    for (let j = 0; j < count; ++j) {
      const scale = value(i, i) * value(j, j);
      if (i !== j) entries.push({i: i + 1, j: j + 1, r: scale > 0 ? value(i, j) / Math.sqrt(scale) : null});
    }
  return entries;
}

function pairsSpec(width, precision) {
  const names = run.sites.map(site => site.name);
  const count = names.length;
  const side = Math.max(Math.min(width - (width > 600 ? 150 : 75), 640), Math.min(count * 6, 900), 240);
  const labels = side / count >= 13 && width > 600;
  const axis = {
    title: labels ? null : 'site number', labelOverlap: false, ticks: false, domain: false, labelLimit: 120, grid: false,
    values: labelledSites(side / count, labels ? 0 : 30),
    labelExpr: labels ? 'names[datum.value - 1]' : undefined
  };
  const scale = {domain: names.map((name, at) => at + 1), padding: 0};
  return {
    params: [{name: 'names', value: names}],
    data: {values: correlations(precision).map(entry => ({...entry, a: names[entry.i - 1], b: names[entry.j - 1]}))},
    width: side, height: side, mark: {type: 'rect'},
    encoding: {
      x: {field: 'j', type: 'ordinal', scale, axis: {...axis, labelAngle: labels ? -90 : 0}},
      y: {field: 'i', type: 'ordinal', scale, axis},
      color: {
        field: 'r', type: 'quantitative',
        scale: {domain: [-1, 0, 1], range: [color('less'), color('middle'), color('more')], interpolate: 'lab', clamp: true},
        legend: {title: null, orient: width > 600 ? 'right' : 'top', values: [-1, -0.5, 0, 0.5, 1], gradientLength: Math.min(200, side)}
      },
      tooltip: [{field: 'a', title: 'site'}, {field: 'b', title: 'with'}, {field: 'r', title: 'together', format: '+.3f'}]
    }
  };
}

function strongestPairs(precision) {
  const most = 20;
  const entries = correlations(precision).filter(entry => entry.i < entry.j && entry.r !== null);
  entries.sort((a, b) => Math.abs(b.r) - Math.abs(a.r));
  const rows = entries.slice(0, most).map(entry => [
    run.sites[entry.i - 1].name, run.sites[entry.j - 1].name, (entry.r > 0 ? '+' : '') + fixed(entry.r, 3),
    entry.r > 0 ? 'more than the sum' : 'less than the sum'
  ]);
  return table('The ' + rows.length + ' strongest pairs at ' + precision + ' bits.',
               [{title: 'site', kind: 'name'}, {title: 'with', kind: 'name'}, {title: 'together', kind: 'number'}, {title: 'damage of both'}], rows);
}

function addPairs() {
  const pairs = run.sensitivity?.pairs;
  if (!pairs || pairs.sites !== run.sites.length || run.sites.length < 2) return;
  const order = pairs.precisions.slice().sort(byBits).reverse();
  let precision = order[0];
  const strongest = element('div', {}, strongestPairs(precision));
  const chart = plot('Heat map of how pairs of sites act together; the table of the strongest pairs stands below.',
                     width => pairsSpec(width, precision));
  if (texts.has_plots) plots[plots.length - 1].canvas = run.sites.length > 60;
  section('pairs', 'Sites together',
          paragraph('How two sites act together by ' + run.sensitivity.metric + ', as a share of what each does alone: above 0 ' +
                    'they damage more together than the sum of both, below 0 less. The diagonal, 1 for every site, is left out.',
                    {class: 'soft'}),
          order.length > 1 ? element('div', {class: 'controls'},
              choice('Both at', order.map(name => [name, name + ' bits']), precision, value => {
                precision = value;
                strongest.replaceChildren(strongestPairs(precision));
                drawAll(true);
              })) : null,
          chart, details('Strongest pairs as a table', strongest));
}
