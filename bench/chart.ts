/** Pictures of curves, as SVG. */

/** A line of a chart. */
export interface Curve {
  readonly name: string;
  /** One for each of the chart's places. */
  readonly values: readonly number[];
}

/** Some curves over the same places of an axis, which are drawn at equal distances. */
export interface Chart {
  readonly title: string;
  /** What the places are, with the unit. */
  readonly places: string;
  readonly labels: readonly string[];
  /** What the values are, with the unit. */
  readonly values: string;
  readonly curves: readonly Curve[];
}

const width = 460;
const height = 340;
const plot = { left: 64, right: 440, top: 40, bottom: 230 };
/** Told apart also by who does not see colours as others do (Okabe and Ito). */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];

/** Draws charts in rows of two. */
export function drawCharts(charts: readonly Chart[], footer: string): string {
  const rows = Math.ceil(charts.length / 2);
  const total = { width: 2 * width, height: rows * height + 30 };
  const drawn = charts.map(
    (chart, index) =>
      `<g transform="translate(${(index % 2) * width} ${Math.floor(index / 2) * height})">\n${draw(chart)}\n</g>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${total.width} ${total.height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${total.width}" height="${total.height}" fill="white"/>`,
    ...drawn,
    text(footer, 16, total.height - 12, 'start'),
    '</svg>\n',
  ].join('\n');
}

function draw({ title, places, labels, values, curves }: Chart): string {
  const step = niceStep(Math.max(...curves.flatMap((curve) => curve.values)));
  const ticks = [0, 1, 2, 3, 4, 5].map((count) => count * step);
  const x = (index: number): number =>
    round(plot.left + 12 + (index * (plot.right - plot.left - 24)) / Math.max(1, labels.length - 1));
  const y = (value: number): number => round(plot.bottom - (value / (5 * step)) * (plot.bottom - plot.top));
  return [
    `<text x="${(plot.left + plot.right) / 2}" y="22" text-anchor="middle" font-weight="bold">${escapeText(title)}</text>`,
    ...ticks.map(
      (tick) =>
        `<path d="M${plot.left} ${y(tick)}H${plot.right}" stroke="#ddd"/>${text(String(round(tick)), plot.left - 6, y(tick) + 4, 'end')}`,
    ),
    ...labels.map((label, index) => text(label, x(index), plot.bottom + 18, 'middle')),
    text(places, (plot.left + plot.right) / 2, plot.bottom + 38, 'middle'),
    `<text transform="translate(16 ${(plot.top + plot.bottom) / 2}) rotate(-90)" text-anchor="middle">${escapeText(values)}</text>`,
    ...curves.flatMap((curve, index) => {
      const colour = colours[index % colours.length] ?? 'black';
      const points = curve.values.map((value, place) => `${x(place)},${y(value)}`);
      const legend = {
        x: plot.left + 200 * (index % 2),
        y: plot.bottom + 58 + 18 * Math.floor(index / 2),
      };
      return [
        `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...points.map((point) => {
          const [cx, cy] = point.split(',');
          return `<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`;
        }),
        `<path d="M${legend.x} ${legend.y}h18" stroke="${colour}" stroke-width="2"/>`,
        text(curve.name, legend.x + 24, legend.y + 4, 'start'),
      ];
    }),
  ].join('\n');
}

/** A fifth of an axis that ends at or above `highest`: 1, 2 or 5 times a power of ten. */
function niceStep(highest: number): number {
  const least = highest / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(least));
  return ([1, 2, 5].find((factor) => factor * power >= least) ?? 10) * power;
}

function text(content: string, x: number, y: number, anchor: string): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}">${escapeText(content)}</text>`;
}

function escapeText(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function round(value: number): number {
  return Number(value.toFixed(2));
}
