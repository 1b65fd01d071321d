// Draws the dashboard as Grafana would, from what a Prometheus has, as one SVG:
//   node hack/draw-dashboard.mjs PROMETHEUS_URL FILE.svg [MINUTES]
import { readFileSync, writeFileSync } from "node:fs";

const [prometheus, file, minutes = "30"] = process.argv.slice(2);
const dashboard = JSON.parse(readFileSync(new URL("../charts/webhook-operator/files/dashboard.json", import.meta.url)));
const end = Math.floor(Date.now() / 1000);
const start = end - Number(minutes) * 60;
const step = Math.max(5, Math.round((end - start) / 240));

const unitWidth = 60, unitHeight = 30, gap = 8, top = 56;
const palette = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#37872d", "#fade2a", "#1f60c4", "#fa6400", "#8f3bb8", "#56a64b"];
const named = { green: "#73bf69", yellow: "#fade2a", orange: "#ff9830", red: "#f2495c", blue: "#5794f2", purple: "#b877d9", "dark-red": "#c4162a" };
const color = (name) => named[name] ?? name;
const escape = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const cut = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

function fill(expression) {
  return expression.replaceAll("$__rate_interval", `${Math.max(60, 4 * step)}s`).replaceAll("$__range", `${end - start}s`)
    .replaceAll(/\$(job|namespace|subscription)/g, ".*");
}

async function ask(path, parameters) {
  const answer = await (await fetch(`${prometheus}/api/v1/${path}?${new URLSearchParams(parameters)}`)).json();
  if (answer.status !== "success") throw new Error(`${answer.error}: ${parameters.query}`);
  return answer.data.result;
}

const range = (query) => ask("query_range", { query: fill(query), start, end, step });
const instant = (query) => ask("query", { query: fill(query), time: end });

function legend(target, metric) {
  if (target.legendFormat === "__auto") return Object.values(metric).join(" ") || "value";
  return target.legendFormat.replaceAll(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? "");
}

function format(value, unit, decimals) {
  if (!Number.isFinite(value)) return "–";
  const short = (v, digits) => {
    const size = Math.abs(v);
    if (size >= 1e6) return `${+(v / 1e6).toFixed(1)}M`;
    if (size >= 1e4) return `${+(v / 1e3).toFixed(1)}k`;
    return String(+v.toFixed(digits ?? (size >= 100 ? 0 : size >= 10 ? 1 : 2)));
  };
  switch (unit) {
    case "percentunit": return `${+(value * 100).toFixed(decimals ?? 1)} %`;
    case "s": return value >= 86400 ? `${+(value / 86400).toFixed(1)} d` : value >= 3600 ? `${+(value / 3600).toFixed(1)} h`
      : value >= 60 ? `${+(value / 60).toFixed(1)} min` : value >= 1 || value === 0 ? `${+value.toFixed(1)} s` : `${+(value * 1000).toPrecision(3)} ms`;
    case "bytes": return value >= 2 ** 30 ? `${+(value / 2 ** 30).toFixed(1)} GiB` : `${+(value / 2 ** 20).toFixed(0)} MiB`;
    case "reqps": case "ops": case "wps": return `${short(value, decimals)}/s`;
    default: return short(value, decimals);
  }
}

const text = (x, y, value, { size = 11, fill: f = "#9fa7b3", anchor = "start", weight = "normal" } = {}) =>
  `<text x="${x}" y="${y}" font-size="${size}" fill="${f}" text-anchor="${anchor}" font-weight="${weight}">${escape(value)}</text>`;

function override(panel, name, id) {
  for (const { matcher, properties } of panel.fieldConfig.overrides)
    if ((matcher.id === "byName" && matcher.options === name) || (matcher.id === "byRegexp" && new RegExp(matcher.options).test(name)))
      for (const property of properties) if (property.id === id) return property.value;
}

function threshold(steps, value) {
  return color(steps.filter((s) => s.value === null || value >= s.value).at(-1).color);
}

async function stat(panel, box) {
  const [target] = panel.targets;
  const { unit, decimals, thresholds } = panel.fieldConfig.defaults;
  const series = target.instant ? [] : await range(target.expr);
  const [now] = await instant(target.expr);
  const value = now ? Number(now.value[1]) : NaN;
  let svg = "";
  if (series.length > 0) {
    const values = series[0].values.map(([t, v]) => [t, Number(v)]).filter(([, v]) => Number.isFinite(v));
    const most = Math.max(...values.map(([, v]) => v), 1e-9);
    const points = values.map(([t, v]) => `${(box.x + ((t - start) / (end - start)) * box.w).toFixed(1)},${(box.y + box.h - (v / most) * 30).toFixed(1)}`);
    if (points.length > 1)
      svg += `<polygon points="${box.x},${box.y + box.h} ${points.join(" ")} ${points.at(-1).split(",")[0]},${box.y + box.h}" fill="${threshold(thresholds.steps, value)}" opacity="0.2"/>`;
  }
  return svg + text(box.x + box.w / 2, box.y + box.h / 2 + 10, format(value, unit, decimals),
    { size: 28, fill: threshold(thresholds.steps, value), anchor: "middle", weight: 500 });
}

const plot = (box) => ({ x: box.x + 52, y: box.y + 4, w: box.w - 100, h: box.h - 44 });

function times(area) {
  let svg = "";
  for (let i = 0; i <= 4; i++) {
    const time = new Date((start + ((end - start) * i) / 4) * 1000);
    svg += text(area.x + (area.w * i) / 4, area.y + area.h + 14, time.toISOString().slice(11, 16), { size: 10, anchor: "middle" });
  }
  return svg;
}

async function timeseries(panel, box) {
  const { unit, decimals, custom, min, max } = panel.fieldConfig.defaults;
  const lines = [];
  for (const target of panel.targets)
    for (const series of await range(target.expr)) {
      const name = legend(target, series.metric);
      const fixed = override(panel, name, "color");
      lines.push({
        name, right: override(panel, name, "custom.axisPlacement") === "right",
        color: fixed ? color(fixed.fixedColor) : palette[lines.length % palette.length],
        values: new Map(series.values.map(([t, v]) => [t, Number(v)])),
      });
    }
  const stack = custom.stacking.mode === "normal", log = custom.scaleDistribution?.type === "log";
  const area = plot(box);
  const scale = (some, fixedMost) => {
    const all = some.flatMap((line) => [...line.values.values()].filter(Number.isFinite));
    let most = fixedMost ?? Math.max(...(stack ? [...Array(241).keys()].map((i) => some.reduce((sum, line) => sum + (line.values.get(start + i * step) || 0), 0)) : all), 1e-9);
    if (most < 1e-6) most = 1;
    else if (fixedMost === undefined && !log) {
      const unitSize = 10 ** Math.floor(Math.log10(most));
      most = Math.ceil((most * 1.05) / (unitSize / 2)) * (unitSize / 2);
    }
    const low = log ? 1 : min ?? Math.min(...all, 0);
    const at = (v) => (log ? Math.log10(Math.max(v, 1)) / Math.log10(most * 2) : (v - low) / (most - low || 1));
    return { y: (v) => area.y + area.h - Math.min(1, Math.max(0, at(v))) * area.h, ticks: log ? [1, 100, 1e4, 1e6].filter((v) => v <= most * 2) : [0, 1, 2, 3, 4].map((i) => low + ((most - low) * i) / 4) };
  };
  const left = scale(lines.filter((line) => !line.right), max);
  let svg = "";
  for (const tick of left.ticks)
    svg += `<line x1="${area.x}" x2="${area.x + area.w}" y1="${left.y(tick).toFixed(1)}" y2="${left.y(tick).toFixed(1)}" stroke="#2c3235"/>`
      + text(area.x - 6, left.y(tick) + 4, format(tick, unit, decimals), { size: 10, anchor: "end" });
  if (lines.some((line) => line.right)) {
    const right = scale(lines.filter((line) => line.right));
    for (const tick of right.ticks) svg += text(area.x + area.w + 6, right.y(tick) + 4, format(tick, "short"), { size: 10 });
    for (const line of lines) if (line.right) line.scale = right;
  }
  const base = new Map();
  for (const line of lines) {
    const runs = [[]];
    for (let t = start; t <= end; t += step) {
      const v = line.values.get(t);
      if (v === undefined || !Number.isFinite(v)) { if (runs.at(-1).length > 0) runs.push([]); continue; }
      const below = stack ? base.get(t) ?? 0 : 0;
      if (stack) base.set(t, below + v);
      const x = area.x + ((t - start) / (end - start)) * area.w, { y } = line.scale ?? left;
      if (custom.lineInterpolation === "stepAfter" && runs.at(-1).length > 0) runs.at(-1).push([x, runs.at(-1).at(-1)[1], runs.at(-1).at(-1)[2]]);
      runs.at(-1).push([x, y(below + v), y(below)]);
    }
    for (const run of runs) {
      if (run.length === 0) continue;
      const path = run.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
      const back = run.toReversed().map(([x, , y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
      svg += `<polygon points="${path} ${back}" fill="${line.color}" opacity="${custom.fillOpacity / 100}"/>`;
      svg += `<polyline points="${path}" fill="none" stroke="${line.color}" stroke-width="1.3"/>`;
      if (run.length === 1) svg += `<circle cx="${run[0][0]}" cy="${run[0][1]}" r="1.5" fill="${line.color}"/>`;
    }
  }
  let x = box.x + 8;
  for (const line of lines) {
    const name = cut(line.name, 30), width = 18 + name.length * 6.1;
    if (x + width > box.x + box.w) { svg += text(x, box.y + box.h - 6, "…", { size: 10 }); break; }
    svg += `<rect x="${x}" y="${box.y + box.h - 12}" width="10" height="3" fill="${line.color}"/>` + text(x + 14, box.y + box.h - 6, name, { size: 10 });
    x += width + 6;
  }
  return svg + times(area);
}

async function heatmap(panel, box) {
  const [target] = panel.targets;
  const buckets = (await range(target.expr)).map((s) => ({ le: Number(s.metric.le.replace("+Inf", "Infinity")), values: new Map(s.values.map(([t, v]) => [t, Number(v)])) }))
    .sort((a, b) => a.le - b.le);
  const area = plot(box), height = area.h / buckets.length, cells = [];
  for (let t = start; t <= end; t += step) {
    let below = 0;
    buckets.forEach((bucket, i) => {
      const count = (bucket.values.get(t) ?? 0) - below;
      below = bucket.values.get(t) ?? 0;
      if (count > 0.01) cells.push({ t, i, count });
    });
  }
  const most = Math.max(...cells.map((cell) => cell.count), 1);
  const width = (area.w * step) / (end - start);
  let svg = "";
  for (const { t, i, count } of cells)
    svg += `<rect x="${(area.x + ((t - start) / (end - start)) * area.w).toFixed(1)}" y="${(area.y + area.h - (i + 1) * height).toFixed(1)}" width="${width.toFixed(1)}" height="${(height - 1).toFixed(1)}" fill="#5794f2" opacity="${(0.15 + 0.85 * Math.sqrt(count / most)).toFixed(2)}"/>`;
  buckets.forEach((bucket, i) => {
    if (i % 2 === 0) svg += text(area.x - 6, area.y + area.h - (i + 1) * height + 4, Number.isFinite(bucket.le) ? format(bucket.le, "s") : "more", { size: 10, anchor: "end" });
  });
  return svg + times(area);
}

async function table(panel, box) {
  const rows = new Map(), labels = new Set();
  for (const target of panel.targets)
    for (const { metric, value } of await instant(target.expr)) {
      const key = JSON.stringify(Object.entries(metric).sort());
      for (const label of Object.keys(metric)) labels.add(label);
      rows.set(key, { ...(rows.get(key) ?? metric), [panel.targets.length > 1 ? `Value #${target.refId}` : "Value"]: Number(value[1]) });
    }
  const { renameByName, indexByName } = panel.transformations[1].options;
  const columns = Object.keys(indexByName).sort((a, b) => indexByName[a] - indexByName[b]);
  const sort = panel.options.sortBy[0] && Object.keys(renameByName).find((k) => renameByName[k] === panel.options.sortBy[0].displayName);
  const sorted = [...rows.values()].sort((a, b) => (sort ? b[sort] - a[sort] : 0)).slice(0, Math.floor((box.h - 30) / 22));
  let svg = "";
  columns.forEach((column, c) => {
    const name = renameByName[column] ?? column, x = box.x + 10 + (c * (box.w - 20)) / columns.length;
    svg += text(x, box.y + 14, name, { size: 11, fill: "#6e9fff", weight: 600 });
    sorted.forEach((row, r) => {
      let shown = row[column], shade = "#d8d9da";
      if (typeof shown === "number") {
        const mapping = override(panel, name, "mappings")?.[0]?.options?.[shown], limits = override(panel, name, "thresholds");
        if (limits) shade = threshold(limits.steps, shown);
        if (mapping?.color) shade = color(mapping.color);
        shown = mapping?.text ?? format(shown, override(panel, name, "unit") ?? "short", override(panel, name, "decimals"));
      }
      svg += text(x, box.y + 36 + r * 22, cut(shown ?? "", 24), { fill: shade });
    });
  });
  return svg;
}

const draw = { stat, timeseries, heatmap, table };
const bottom = Math.max(...dashboard.panels.map(({ gridPos: g }) => g.y + g.h));
const width = 24 * unitWidth + 2 * gap, height = top + bottom * unitHeight + gap;
let svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="Inter,Helvetica,Arial,sans-serif">`
  + `<rect width="${width}" height="${height}" fill="#111217"/>` + text(16, 34, dashboard.title, { size: 20, fill: "#d8d9da", weight: 500 });
for (const panel of dashboard.panels) {
  const { x, y, w, h } = panel.gridPos;
  const box = { x: gap + x * unitWidth, y: top + y * unitHeight, w: w * unitWidth - gap, h: h * unitHeight - gap };
  if (panel.type === "row") {
    svg += text(box.x + 4, box.y + 19, panel.title, { size: 15, fill: "#d8d9da", weight: 500 });
    continue;
  }
  svg += `<rect x="${box.x}" y="${box.y}" width="${box.w}" height="${box.h}" fill="#181b1f" stroke="#25282d"/>`
    + text(box.x + 8, box.y + 18, panel.title, { size: 12, fill: "#d8d9da", weight: 500 })
    + await draw[panel.type](panel, { x: box.x, y: box.y + 26, w: box.w, h: box.h - 26 });
}
writeFileSync(file, svg + "</svg>\n");
