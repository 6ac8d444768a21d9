"use strict";
// Draws what the page's JSON holds. Text goes into the page as text; HTML comes only from the server, which escapes it.

const root = document.documentElement;
const byId = (id) => document.getElementById(id);
const coarse = matchMedia("(pointer: coarse)").matches;

let content = JSON.parse(byId("content").textContent);
const shown = new Map(); // name of a run -> whether it is drawn
const place = { axis: "step", log: false, sampleRun: null, sample: null };
let zoom = null; // range of the horizontal axis, the same in all figures
let zooming = false;

// --- Light and dark -------------------------------------------------------------------------------------------------

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
const cssColour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
const colourOf = (run) => (isDark() ? run.dark : run.light);

function setTheme() {
  byId("theme").textContent = isDark() ? "Light" : "Dark";
  byId("theme").setAttribute("aria-pressed", String(isDark()));
}

function changeTheme() {
  setTheme();
  drawLegend();
  drawFigures();
  drawScores();
}

// --- Legend ---------------------------------------------------------------------------------------------------------

const DASHES = { solid: "", dash: "9 6", dot: "3 4", dashdot: "9 4 3 4", longdash: "14 6", longdashdot: "14 4 3 4" };
const SHAPES = {
  circle: "M17 9a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
  square: "M17.5 4.5h9v9h-9z",
  diamond: "M22 3l6 6-6 6-6-6z",
  "triangle-up": "M22 3.5l6 10h-12z",
  cross: "M20 4h4v3h3v4h-3v3h-4v-3h-3v-4h3z",
  star: "M22 3l1.8 4 4.2.4-3.2 2.9 1 4.3-3.8-2.3-3.8 2.3 1-4.3-3.2-2.9 4.2-.4z",
  x: "M19 4l3 3 3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3-3-3z",
};

function swatch(run) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("width", "44");
  svg.setAttribute("height", "18");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(space, "path");
  line.setAttribute("d", "M0 9H44");
  line.setAttribute("stroke", colourOf(run));
  line.setAttribute("stroke-width", "2.5");
  line.setAttribute("stroke-dasharray", DASHES[run.dash]);
  const mark = document.createElementNS(space, "path");
  mark.setAttribute("d", SHAPES[run.marker]);
  mark.setAttribute("fill", cssColour("--raised"));
  mark.setAttribute("stroke", colourOf(run));
  mark.setAttribute("stroke-width", "2");
  svg.append(line, mark);
  return svg;
}

function drawLegend() {
  const focused = document.activeElement?.dataset?.run;
  const buttons = content.runs.map((run) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.run = run.name;
    button.setAttribute("aria-pressed", String(isShown(run)));
    button.title = "Show or hide this run";
    button.append(swatch(run), run.name);
    button.addEventListener("click", () => {
      shown.set(run.name, !isShown(run));
      button.setAttribute("aria-pressed", String(isShown(run)));
      drawFigures();
      drawScores();
    });
    return button;
  });
  byId("legend").replaceChildren(...buttons);
  buttons.find((button) => button.dataset.run === focused)?.focus();
}

const isShown = (run) => shown.get(run.name) ?? true;

// --- Figures --------------------------------------------------------------------------------------------------------

const CONFIG = { responsive: true, displaylogo: false, displayModeBar: false, doubleClick: "reset", scrollZoom: false };

function figureElement(key, title) {
  const figure = document.createElement("figure");
  figure.id = key;
  const heading = document.createElement("h3");
  heading.textContent = title;
  const plot = document.createElement("div");
  plot.className = "plot";
  plot.setAttribute("role", "img");
  figure.append(heading, plot, document.createElement("figcaption"));
  return figure;
}

function gridOf(group) {
  const id = `group-${group.replaceAll(" ", "-")}`;
  if (!byId(id)) {
    const section = document.createElement("section");
    const heading = document.createElement("h2");
    heading.textContent = group;
    const grid = document.createElement("div");
    grid.id = id;
    grid.className = "grid";
    section.append(heading, grid);
    byId("figures").append(section);
  }
  return byId(id);
}

function layoutOf() {
  const soft = cssColour("--soft");
  const rule = cssColour("--rule");
  const axis = { gridcolor: rule, linecolor: rule, zeroline: false, tickfont: { color: soft, size: 12 }, automargin: true };
  return {
    margin: { l: 48, r: 8, t: 8, b: 36 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, color: soft },
    showlegend: false,
    hovermode: "closest",
    hoverlabel: { namelength: -1, font: { size: 13 } },
    dragmode: coarse ? false : "zoom", // on a phone a finger scrolls the page
    uirevision: "kept",
    xaxis: { ...axis, showgrid: false, showline: true, nticks: 6 },
    yaxis: { ...axis, nticks: 6 },
  };
}

// Values of a step, or of the tokens seen until then; null for a run that does not know them.
function scaleOf(run) {
  return place.axis === "step" ? 1 : run.tokens_per_step;
}

function tracesOf(figure) {
  const traces = [];
  for (const run of content.runs) {
    const scale = scaleOf(run);
    if (!isShown(run) || scale === null) continue;
    const colour = colourOf(run);
    const value = figure.percent ? "%{y:.1%}" : `%{y:${figure.format}}`;
    const hover = (kind) => `${kind}: ${value}<br>${place.axis} %{x:,.4s}`;
    const training = run.lines[figure.key];
    const heldOut = run.lines[`eval_${figure.key}`];
    if (training) {
      traces.push({
        x: training.x.map((x) => x * scale),
        y: training.y,
        name: escaped(run.name),
        mode: training.x.length < 4 ? "lines+markers" : "lines",
        line: { color: colour, dash: run.dash, width: 2 },
        marker: { color: colour, symbol: run.marker, size: 7 },
        hovertemplate: hover("training"),
      });
    }
    if (heldOut) {
      traces.push({
        x: heldOut.x.map((x) => x * scale),
        y: heldOut.y,
        name: escaped(run.name),
        mode: "markers",
        marker: { color: cssColour("--ground"), symbol: run.marker, size: 9, line: { color: colour, width: 2 } },
        hovertemplate: hover("held-out"),
      });
    }
  }
  return traces;
}

// Plotly reads some HTML in names.
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function drawFigures() {
  const current = new Set(content.figures.map((figure) => figure.key));
  for (const old of document.querySelectorAll("#figures figure")) {
    if (!current.has(old.id.slice("figure-".length))) old.remove();
  }
  for (const figure of content.figures) {
    const id = `figure-${figure.key}`;
    let element = byId(id);
    if (!element) {
      element = figureElement(id, figure.title);
      gridOf(figure.group).append(element);
    }
    const traces = tracesOf(figure);
    element.querySelector("figcaption").textContent = figure.caption;
    const plot = element.querySelector(".plot");
    plot.setAttribute("aria-label", summaryOf(figure));
    const layout = layoutOf();
    layout.uirevision = `${place.axis} ${place.log}`;
    const values = traces.flatMap((trace) => trace.y);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    addReferences(layout, figure, low, high);
    layout.yaxis.tickformat = figure.percent ? ",.3~%" : ",.6~g";
    if (figure.log || (place.log && !figure.percent && low > 0)) layout.yaxis.type = "log";
    if (layout.yaxis.type === "log" && high > 2.5 * low) layout.yaxis.dtick = "D2"; // 10, 20, 50
    layout.xaxis.tickformat = "~s";
    layout.xaxis.rangemode = "tozero";
    if (zoom) layout.xaxis.range = zoom;
    layout.xaxis.title = { text: place.axis === "step" ? "step" : "tokens", standoff: 4, font: { size: 12 } };
    const first = !plot.data;
    Plotly.react(plot, traces, layout, CONFIG);
    if (first) plot.on("plotly_relayout", (change) => zoomAll(plot, change));
  }
  for (const section of document.querySelectorAll("#figures section")) section.hidden = !section.querySelector("figure");
}

// Bands that are far from the values would squeeze them into a line: those are told in the caption only.
function addReferences(layout, figure, low, high) {
  const reach = Math.max(high - low, Math.abs(high) * 0.05) * 1.5;
  const near = (value) => Number.isFinite(low) && value >= low - reach && value <= high + reach;
  const across = { xref: "paper", x0: 0, x1: 1, yref: "y", layer: "below" };
  const words = { font: { size: 11, color: cssColour("--soft") }, padding: 2 };
  layout.shapes = [];
  for (const band of figure.bands) {
    if (!near(band.low) && !near(band.high)) continue;
    layout.shapes.push({
      ...across, type: "rect", y0: band.low, y1: band.high, fillcolor: isDark() ? "#1f4d3c" : "#d3eee2", line: { width: 0 },
      label: { ...words, text: band.words, textposition: "top left", yanchor: "bottom" },
    });
  }
  for (const reference of figure.references) {
    if (!near(reference.value)) continue;
    layout.shapes.push({
      ...across, type: "line", y0: reference.value, y1: reference.value,
      line: { color: cssColour("--soft"), width: 1, dash: "dash" },
      label: { ...words, text: reference.words, textposition: "end", yanchor: reference.words.endsWith("above") ? "top" : "bottom" },
    });
  }
}

function summaryOf(figure) {
  const parts = content.runs.filter(isShown).flatMap((run) => {
    const line = run.lines[figure.key] ?? run.lines[`eval_${figure.key}`];
    return line ? [`${run.name}: from ${line.y[0]} to ${line.y.at(-1)}`] : [];
  });
  return `${figure.title} over the steps. ${parts.join("; ")}. The newest values are in the table of numbers.`;
}

// One zoom for all figures; a double click goes back.
async function zoomAll(source, change) {
  if (zooming) return;
  let range = null;
  if ("xaxis.range[0]" in change) range = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
  else if (!("xaxis.autorange" in change)) return;
  zoom = range;
  zooming = true;
  const others = [...document.querySelectorAll("#figures .plot")].filter((plot) => plot !== source && plot.data);
  const update = range ? { "xaxis.range": range } : { "xaxis.autorange": true };
  await Promise.all(others.map((plot) => Plotly.relayout(plot, update)));
  zooming = false;
}

// --- Scores ---------------------------------------------------------------------------------------------------------

function drawScores() {
  byId("scores").hidden = content.scores.length === 0;
  byId("scores-figures").className = "grid";
  const keys = content.scores.map((score) => `score-${score.title}`);
  for (const old of document.querySelectorAll("#scores-figures figure")) if (!keys.includes(old.id)) old.remove();
  content.scores.forEach((score, number) => {
    let element = byId(keys[number]);
    if (!element) {
      element = figureElement(keys[number], score.title);
      byId("scores-figures").append(element);
    }
    const plot = element.querySelector(".plot");
    const rows = score.runs.filter((row) => isShown(content.runs[row.run]));
    plot.style.height = `${70 + 48 * Math.max(1, rows.length)}px`;
    const layout = layoutOf();
    layout.xaxis = { ...layout.xaxis, showgrid: true, automargin: false };
    layout.yaxis = {
      ...layout.yaxis, showgrid: false, range: [rows.length - 0.4, -0.6],
      tickvals: rows.map((_, height) => height),
      ticktext: rows.map((row) => escaped(shortened(content.runs[row.run].name))),
    };
    layout.shapes = [];
    const values = rows.flatMap((row) => row.values);
    // All seeds are on the scale, and an interval as far as it does not squeeze them.
    const ofOne = rows.flatMap((row) => (row.values.length === 1 ? (row.interval ?? []) : []));
    const [least, most] = [Math.min(...values, ...ofOne), Math.max(...values, ...ofOne)];
    const span = Math.max((most - least) * (ofOne.length ? 0.1 : 1), 10 ** (1 - score.decimals));
    layout.xaxis.range = [least - span, most + span];
    const traces = rows.map((row, height) => {
      const run = content.runs[row.run];
      if (row.interval) {
        layout.shapes.push({
          type: "line", x0: row.interval[0], x1: row.interval[1], y0: height + 0.3, y1: height + 0.3,
          line: { color: colourOf(run), width: 4 }, opacity: 0.5, layer: "below",
        });
      }
      if (row.median !== null && row.values.length > 1) {
        layout.shapes.push({
          type: "line", x0: row.median, x1: row.median, y0: height - 0.3, y1: height + 0.3,
          line: { color: cssColour("--ink"), width: 2 }, layer: "below",
        });
      }
      return {
        x: row.values,
        y: row.values.map((_, seed) => height + [0, -0.12, 0.12][seed % 3] * (row.values.length > 2)),
        name: escaped(run.name),
        mode: "markers",
        marker: { color: colourOf(run), symbol: run.marker, size: 10, opacity: 0.8 },
        hovertemplate: `%{x:.${score.decimals}f}`,
      };
    });
    plot.setAttribute(
      "aria-label", `${score.title}. ${rows.map((row) => `${content.runs[row.run].name}: ${row.spread}`).join("; ")}`,
    );
    Plotly.react(plot, traces, layout, CONFIG);
  });
}

const shortened = (name) => (name.length > 18 ? `${name.slice(0, 8)}…${name.slice(-9)}` : name);

// --- Texts ----------------------------------------------------------------------------------------------------------

function sampleOf() {
  return content.samples.find((sample) => sample.run === place.sampleRun) ?? content.samples[0];
}

function drawSampleControls() {
  byId("samples").hidden = content.samples.length === 0;
  if (content.samples.length === 0) return;
  const options = content.samples.map((sample) => {
    const option = new Option(content.runs[sample.run].name, String(sample.run));
    option.selected = sample === sampleOf();
    return option;
  });
  byId("samples-run").replaceChildren(...options);
  byId("samples-run").hidden = content.runs.length < 2;
  drawSample();
}

function drawSample() {
  const { observations } = sampleOf();
  const last = observations.length - 1;
  // Unless somebody looks at an earlier one, the newest is shown, also when there is a newer one.
  const number = place.sample === null ? last : Math.min(place.sample, last);
  const slider = byId("samples-time");
  slider.max = String(last);
  slider.value = String(number);
  slider.disabled = last === 0;
  byId("samples-before").disabled = number === 0;
  byId("samples-after").disabled = number === last;
  const words = `step ${observations[number].step.toLocaleString("en")}`;
  byId("samples-step").textContent = words;
  slider.setAttribute("aria-valuetext", words);
  const list = document.createElement("ol");
  for (const text of observations[number].texts) {
    const item = document.createElement("li");
    for (const token of text.tokens) item.append(...tokenElements(token));
    const score = document.createElement("small");
    score.textContent = text.score;
    item.append(score);
    list.append(item);
  }
  hideTip();
  byId("samples-text").replaceChildren(list);
}

function tokenElements([text, original, suspicion, blank]) {
  const marked = original !== null || suspicion >= 0.5;
  const element = document.createElement(marked ? "button" : "span");
  element.textContent = text;
  element.classList.add("token");
  const level = [["s9", 0.9], ["s5", 0.5], ["s2", 0.2]].find(([, lowest]) => suspicion >= lowest);
  if (level) element.classList.add(level[0]);
  if (original !== null) element.classList.add("replaced");
  if (suspicion >= 0.5) element.classList.add("suspected");
  const share = suspicion === null ? "not judged" : `suspicion ${Math.round(100 * suspicion)} %`;
  element.dataset.tip = original === null ? `original, ${share}` : `originally “${original}”, ${share}`;
  if (marked) {
    element.type = "button";
    element.setAttribute("aria-label", `${text}: ${element.dataset.tip}`);
  }
  return blank ? [" ", element] : [element];
}

function showTip(element) {
  const tip = byId("tip");
  tip.textContent = element.dataset.tip;
  tip.hidden = false;
  const box = element.getClientRects()[0];
  const widest = root.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${scrollX + Math.max(8, Math.min(box.left, widest))}px`;
  tip.style.top = `${scrollY + box.bottom + 6}px`;
}

function hideTip() {
  byId("tip").hidden = true;
}

function moveSample(to) {
  const last = sampleOf().observations.length - 1;
  place.sample = to >= last ? null : Math.max(0, to);
  drawSample();
}

// --- News -----------------------------------------------------------------------------------------------------------

let version = null;
let told = "";

function showStatus(status) {
  const element = byId("status");
  element.hidden = !status;
  if (!status) return;
  element.dataset.state = status.state;
  const words = element.querySelector("p");
  if (words.textContent !== status.words) words.textContent = status.words;
  const bar = element.querySelector("progress");
  bar.hidden = status.progress === null;
  if (status.progress !== null) bar.value = status.progress;
}

function showProblem(words) {
  if (words === told) return;
  told = words;
  byId("problem").hidden = !words;
  byId("problem").textContent = words;
}

function draw() {
  document.title = content.title;
  showStatus(content.status);
  drawLegend();
  const byTokens = document.querySelector("[data-axis=tokens]");
  byTokens.disabled = !content.runs.some((run) => run.tokens_per_step !== null);
  byTokens.title = byTokens.disabled ? "The tokens of a step are not known: there is no run_info.json" : "";
  drawFigures();
  drawScores();
  drawSampleControls();
  byId("toolbar").hidden = content.figures.length === 0;
  byId("numbers").hidden = content.html.values === "";
}

async function askForNews() {
  try {
    const answer = await fetch(`data.json?since=${encodeURIComponent(version ?? "")}`, { cache: "no-store" });
    const news = await answer.json();
    if (news.error) {
      showProblem(news.error);
      return;
    }
    showProblem("");
    if (news.content) {
      version = news.version;
      content = news.content;
      for (const [id, html] of Object.entries(content.html)) if (id !== "samples-text") byId(id).innerHTML = html;
      byId("made").textContent = content.made;
      draw();
    }
    showStatus(news.status);
  } catch {
    showProblem("electra-hf watch does not answer: it was stopped, or the connection is lost. Trying again.");
  }
}

// --- Start ----------------------------------------------------------------------------------------------------------

root.classList.add("scripted");
setTheme();
draw();
byId("theme").addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  changeTheme();
});
prefersDark.addEventListener("change", changeTheme);
for (const button of document.querySelectorAll("[data-axis]")) {
  button.addEventListener("click", () => {
    place.axis = button.dataset.axis;
    zoom = null;
    for (const other of document.querySelectorAll("[data-axis]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    drawFigures();
  });
}
byId("log").addEventListener("click", () => {
  place.log = !place.log;
  byId("log").setAttribute("aria-pressed", String(place.log));
  drawFigures();
});
byId("samples-time").addEventListener("input", (event) => moveSample(Number(event.target.value)));
byId("samples-before").addEventListener("click", () => moveSample(Number(byId("samples-time").value) - 1));
byId("samples-after").addEventListener("click", () => moveSample(Number(byId("samples-time").value) + 1));
byId("samples-run").addEventListener("change", (event) => {
  place.sampleRun = Number(event.target.value);
  place.sample = null;
  drawSample();
});
const texts = byId("samples-text");
for (const [name, act] of [["mouseover", showTip], ["focusin", showTip], ["click", showTip], ["mouseout", hideTip], ["focusout", hideTip]]) {
  texts.addEventListener(name, (event) => {
    const token = event.target.closest("[data-tip]");
    if (token) act(token);
  });
}
addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
});
if (root.dataset.live) {
  // The next question waits for the answer to the last: a slow server is not asked twice.
  const again = () => askForNews().finally(() => setTimeout(again, 1000 * Number(root.dataset.live)));
  again();
}
