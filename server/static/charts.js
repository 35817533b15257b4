// Draws the curves of one to six submissions with uPlot. An element with data-curves names the
// JSON to fetch (addresses with a space between), or, where it names none, has it in data blocks, as
// in exported pages; each figure in it names its metrics.
"use strict";

(() => {
  const PALETTE = 6;
  const HEIGHT = 220;
  const RENEW_MILLISECONDS = 6000;
  const DASHES = [[], [6, 4], [2, 3], [10, 3, 2, 3], [1, 2]];
  const LETTERS = "ABCDEF";
  const BAND_OPACITY = "2e";
  const AXIS_PARAMETER = "axis";

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const compact = (value) => {
    const size = Math.abs(value);
    if (size >= 1e6) return `${+(value / 1e6).toFixed(2)}M`;
    if (size >= 1e4) return `${+(value / 1e3).toFixed(1)}k`;
    return String(+value.toPrecision(6));
  };

  const written = (value, unit) => {
    if (value == null) return "–";
    if (unit === "share") return `${(value * 100).toFixed(2)} %`;
    if (unit === "nats") return value.toFixed(4);
    return value >= 1000 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(4));
  };

  const duration = (value) => {
    if (value >= 3600) return `${+(value / 3600).toFixed(2)} h`;
    if (value >= 120) return `${+(value / 60).toFixed(1)} min`;
    return `${+value.toFixed(1)} s`;
  };

  // What may lie on the horizontal axis, by the name that the page's address has for it.
  const AXES = {
    steps: { of: (series) => series.steps, title: "optimizer steps", name: "step", tick: compact, exact: (value) => value.toLocaleString("en") },
    tokens: { of: (series) => series.tokens, title: "training tokens", name: "tokens", tick: compact, exact: (value) => value.toLocaleString("en") },
    seconds: { of: (series) => series.train_seconds, title: "training time", name: "time", tick: duration, exact: duration },
  };

  // One line for each run, in a colour of its own; of several submissions, in the colour of its
  // side. A figure of two metrics shows the first run alone: the seed does not change them.
  const linesOf = (submissions, metrics) => {
    const sides = submissions.length > 1;
    return submissions.flatMap((submission, side) => {
      const runs = metrics.length > 1 ? submission.runs.slice(0, 1) : submission.runs;
      return runs.flatMap((run, index) =>
        run.series
          .filter((series) => metrics.includes(series.metric))
          .map((series) => {
            const place = metrics.indexOf(series.metric);
            const what = metrics.length > 1 ? ["Muon", "AdamW"][place] : `seed ${run.seed}`;
            return {
              series,
              side,
              label: sides ? `${LETTERS[side]}, ${what}` : what,
              color: css(`--series-${((sides ? side : index) % PALETTE) + 1}`),
              dash: DASHES[(metrics.length > 1 ? place : sides ? index : 0) % DASHES.length],
            };
          })
      );
    });
  };

  // Of each side with several seeds, the lines that a band from the lowest to the highest spans.
  const bandsOf = (lines, metrics) => {
    if (metrics.length > 1) return [];
    const sides = new Set(lines.map((line) => line.side));
    return [...sides].flatMap((side) => {
      const members = lines.flatMap((line, index) => (line.side === side ? [index] : []));
      if (members.length < 2) return [];
      const label = `range of ${members.length} seeds`;
      const color = sides.size > 1 ? lines[members[0]].color : css("--muted");
      return [{ members, label: sides.size > 1 ? `${LETTERS[side]}, ${label}` : label, color: color + BAND_OPACITY }];
    });
  };

  // A line's values at every place of the table, straight from each of its points to the next.
  const filled = (places, values) => {
    const whole = places.map(() => null);
    let before = null;
    values.forEach((value, index) => {
      if (value == null) return;
      for (let at = before ?? index; at <= index; at += 1) {
        const share = at === index ? 1 : (places[at] - places[before]) / (places[index] - places[before]);
        whole[at] = before == null ? value : values[before] + share * (value - values[before]);
      }
      before = index;
    });
    return whole;
  };

  // uPlot wants one horizontal axis for all lines; a line has no value where only others do.
  // After the lines come the lower and the upper edge of each band.
  const tableOf = (lines, bands, axis) => {
    const table = uPlot.join(lines.map(({ series }) => [AXES[axis].of(series), series.values]));
    const edges = bands.flatMap(({ members }) => {
      const wholes = members.map((member) => filled(table[0], table[member + 1]));
      const there = table[0].map((_, at) => wholes.map((whole) => whole[at]).filter((value) => value != null));
      return [Math.min, Math.max].map((edge) => there.map((values) => (values.length > 1 ? edge(...values) : null)));
    });
    return [...table, ...edges];
  };

  // The nearest point of a line to the cursor, since lines have their points in other places.
  const nearest = (chart, index, column) => {
    const values = chart.data[index];
    if (index === 0 || values[column] != null) return column;
    for (let away = 1; away < values.length; away += 1) {
      if (values[column - away] != null) return column - away;
      if (values[column + away] != null) return column + away;
    }
    return column;
  };

  // The cursor of one figure moves those of all others to the same step, or time. Zooming does not.
  const together = (key) => ({ key, scales: ["x", null], setSeries: false, filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } });

  const edgesOf = ({ label }, unit) => {
    const range = (chart, _, low, at) => (at == null ? "–" : `${written(chart.data[low][at], unit)} to ${written(chart.data[low + 1][at], unit)}`);
    const edge = { stroke: "transparent", width: 0, points: { show: false } };
    return [{ ...edge, label, value: range }, { ...edge, label, class: "upper-edge" }];
  };

  // As uPlot does, but that it draws a line that is always 0 on an axis up to 100, or 10,000 %.
  const heights = (_, low, high) => {
    if (low == null) return [null, null];
    return low === 0 && high === 0 ? [0, 1] : uPlot.rangeNum(low, high, 0.1, true);
  };

  const optionsOf = (figure, lines, bands, axis, width, key) => {
    const unit = figure.dataset.unit;
    const grid = { stroke: css("--line-soft"), width: 1 };
    const common = { stroke: css("--muted"), grid, ticks: { stroke: css("--line"), width: 1 }, font: `11px ${css("--sans")}` };
    const { title, name, tick, exact } = AXES[axis];
    const lower = (band) => lines.length + 1 + 2 * band;
    return {
      width,
      height: HEIGHT,
      scales: { x: { time: false }, y: { range: heights } },
      cursor: { dataIdx: nearest, y: false, points: { size: (_, index) => (index > lines.length ? 0 : 6) }, drag: { x: true, y: false }, sync: together(key) },
      legend: { markers: { width: 0, fill: (_, index) => lines[index - 1]?.color ?? bands[Math.floor((index - lower(0)) / 2)].color } },
      bands: bands.map(({ color }, band) => ({ series: [lower(band) + 1, lower(band)], fill: color })),
      axes: [
        { ...common, label: title, labelFont: common.font, labelSize: 18, size: 30,
          values: (_, ticks) => ticks.map(tick), space: 60 },
        { ...common, size: 60, values: (_, ticks) => ticks.map((tick) => (unit === "share" ? `${+(tick * 100).toFixed(2)} %` : compact(tick))) },
      ],
      series: [
        { label: name, value: (_, value) => (value == null ? "–" : exact(value)) },
        ...lines.map((line) => ({
          label: line.label,
          stroke: line.color,
          width: 1.5,
          dash: line.dash,
          spanGaps: true,
          points: { show: line.series.metric.startsWith("val_") && line.series.steps.length <= 60, size: 4, fill: line.color },
          value: (_, value) => written(value, unit),
        })),
        ...bands.flatMap((band) => edgesOf(band, unit)),
      ],
    };
  };

  const followFinger = (chart) => {
    const move = (event) => {
      const box = chart.over.getBoundingClientRect();
      const touch = event.touches[0];
      chart.setCursor({ left: touch.clientX - box.left, top: touch.clientY - box.top }, true, true);
    };
    chart.over.addEventListener("touchstart", move, { passive: true });
    chart.over.addEventListener("touchmove", move, { passive: true });
  };

  class Figure {
    constructor(element, key) {
      this.element = element;
      this.key = key;
      this.metrics = element.dataset.metrics.split(" ");
      this.plot = document.createElement("div");
      this.plot.className = "plot";
      this.plot.setAttribute("role", "img");
      element.append(this.plot);
      this.chart = null;
      this.shape = "";
      new ResizeObserver(() => this.resize()).observe(this.plot);
    }

    draw(submissions, axis, anew) {
      const lines = linesOf(submissions, this.metrics);
      this.element.classList.toggle("drawn", lines.length > 0);
      if (!lines.length) return;
      const bands = bandsOf(lines, this.metrics);
      const table = tableOf(lines, bands, axis);
      const shape = `${axis} ${lines.map((line) => line.label).join("|")}`;
      if (!anew && this.chart && shape === this.shape) {
        this.chart.setData(table, !this.isZoomed());
      } else {
        this.chart?.destroy();
        this.chart = new uPlot(optionsOf(this.element, lines, bands, axis, this.plot.clientWidth || 300, this.key), table, this.plot);
        followFinger(this.chart);
        this.shape = shape;
      }
      this.extent = [table[0][0], table[0].at(-1)];
      const caption = this.element.querySelector("figcaption").textContent;
      this.plot.setAttribute("aria-label", `${caption}: ${lines.map((line) => this.summary(line)).join("; ")}`);
    }

    summary({ label, series }) {
      return `${label} ends at ${written(series.values.at(-1), this.element.dataset.unit)} after ${series.steps.at(-1)} steps`;
    }

    isZoomed() {
      const { min, max } = this.chart.scales.x;
      return min > this.extent[0] || max < this.extent[1];
    }

    resize() {
      const width = this.plot.clientWidth;
      if (this.chart && width && width !== this.chart.width) this.chart.setSize({ width, height: HEIGHT });
    }
  }

  // The choice of axis is part of the address, so that a link shows what its sender saw.
  const chooseAxis = (axisSwitch) => {
    const asked = new URLSearchParams(location.search).get(AXIS_PARAMETER);
    const input = [...axisSwitch.querySelectorAll("input")].find(({ value }) => value === asked);
    if (input) input.checked = true;
  };

  const keepAxis = (axis) => {
    const address = new URL(location.href);
    address.searchParams.set(AXIS_PARAMETER, axis);
    history.replaceState(history.state, "", address);
  };

  const start = (element) => {
    const urls = element.dataset.curves.split(" ").filter(Boolean);
    const blocks = [...element.querySelectorAll("script[type='application/json']")];
    const message = element.querySelector(".chart-message");
    const axisSwitch = element.querySelector(".axis-switch");
    const figures = [...element.querySelectorAll("figure")].map((figure) => new Figure(figure, urls[0]));
    let submissions = [];
    const chosen = () => axisSwitch.querySelector("input:checked").value;
    let timer = 0;
    let isLoading = false;
    let isOutdated = false;

    const draw = (anew) => {
      for (const figure of figures) figure.draw(submissions, chosen(), anew);
    };

    // One at a time: what changes meanwhile is fetched right after it.
    const load = async () => {
      isOutdated = true;
      if (isLoading) return;
      isLoading = true;
      while (isOutdated) {
        isOutdated = false;
        await fetchAndDraw();
      }
      isLoading = false;
      if (!urls.length) return;
      if (submissions.some((submission) => submission.active) || !submissions.length) plan();
    };

    const fetchAndDraw = async () => {
      try {
        const fetched = await Promise.all(urls.map(async (url) => {
          const response = await fetch(url, { headers: { Accept: "application/json" } });
          if (!response.ok) throw new Error(`the server answered ${response.status}`);
          return response.json();
        }));
        submissions = [...blocks.map((block) => JSON.parse(block.textContent)), ...fetched];
        const hasRuns = submissions.some((submission) => submission.runs.length);
        axisSwitch.hidden = !hasRuns;
        message.textContent = hasRuns ? "" : "No points yet.";
        draw(false);
      } catch (error) {
        message.textContent = `The curves could not be loaded: ${error.message}.`;
      }
    };

    const plan = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (document.hidden) document.addEventListener("visibilitychange", load, { once: true });
        else load();
      }, RENEW_MILLISECONDS);
    };

    // live.js hears of it from the server.
    document.addEventListener("board-changed", ({ detail }) => {
      if (detail.startsWith("run:")) load();
    });

    chooseAxis(axisSwitch);
    axisSwitch.addEventListener("change", () => {
      draw(true);
      // Browsers let no file change its address.
      if (location.protocol !== "file:") keepAxis(chosen());
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
    load();
  };

  for (const element of document.querySelectorAll("[data-curves]")) start(element);
})();
