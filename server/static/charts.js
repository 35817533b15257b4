// Draws the curves of one or two submissions with uPlot. An element with data-curves names the
// JSON to fetch (addresses with a space between); each figure in it names its metrics.
"use strict";

(() => {
  const PALETTE = 6;
  const HEIGHT = 220;
  const RENEW_MILLISECONDS = 6000;
  const DASHES = [[], [6, 4], [2, 3], [10, 3, 2, 3], [1, 2]];

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

  // One line for each run, in a colour of its own; of two submissions, in the colour of its
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
              label: sides ? `${"AB"[side]}, ${what}` : what,
              color: css(`--series-${((sides ? side : index) % PALETTE) + 1}`),
              dash: DASHES[(metrics.length > 1 ? place : sides ? index : 0) % DASHES.length],
            };
          })
      );
    });
  };

  // uPlot wants one horizontal axis for all lines; a line has no value where only others do.
  const tableOf = (lines, axis) =>
    uPlot.join(lines.map(({ series }) => [axis === "steps" ? series.steps : series.train_seconds, series.values]));

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

  const optionsOf = (figure, lines, axis, width) => {
    const unit = figure.dataset.unit;
    const grid = { stroke: css("--line-soft"), width: 1 };
    const common = { stroke: css("--muted"), grid, ticks: { stroke: css("--line"), width: 1 }, font: `11px ${css("--sans")}` };
    const isTime = axis === "seconds";
    return {
      width,
      height: HEIGHT,
      scales: { x: { time: false } },
      cursor: { dataIdx: nearest, points: { size: 6 }, drag: { x: true, y: false } },
      legend: { markers: { width: 0, fill: (_, index) => lines[index - 1]?.color } },
      axes: [
        { ...common, label: isTime ? "training time" : "optimizer steps", labelFont: common.font, labelSize: 18, size: 30,
          values: (_, ticks) => ticks.map((tick) => (isTime ? duration(tick) : compact(tick))), space: 60 },
        { ...common, size: 52, values: (_, ticks) => ticks.map((tick) => (unit === "share" ? `${+(tick * 100).toFixed(2)} %` : compact(tick))) },
      ],
      series: [
        { label: isTime ? "time" : "step", value: (_, value) => (value == null ? "–" : isTime ? duration(value) : value.toLocaleString("en")) },
        ...lines.map((line) => ({
          label: line.label,
          stroke: line.color,
          width: 1.5,
          dash: line.dash,
          spanGaps: true,
          points: { show: line.series.metric.startsWith("val_") && line.series.steps.length <= 60, size: 4, fill: line.color },
          value: (_, value) => written(value, unit),
        })),
      ],
    };
  };

  const followFinger = (chart) => {
    const move = (event) => {
      const box = chart.over.getBoundingClientRect();
      const touch = event.touches[0];
      chart.setCursor({ left: touch.clientX - box.left, top: touch.clientY - box.top });
    };
    chart.over.addEventListener("touchstart", move, { passive: true });
    chart.over.addEventListener("touchmove", move, { passive: true });
  };

  class Figure {
    constructor(element) {
      this.element = element;
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
      const table = tableOf(lines, axis);
      const shape = `${axis} ${lines.map((line) => line.label).join("|")}`;
      if (!anew && this.chart && shape === this.shape) {
        this.chart.setData(table, !this.isZoomed());
      } else {
        this.chart?.destroy();
        this.chart = new uPlot(optionsOf(this.element, lines, axis, this.plot.clientWidth || 300), table, this.plot);
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

  const start = (element) => {
    const urls = element.dataset.curves.split(" ");
    const message = element.querySelector(".chart-message");
    const axisSwitch = element.querySelector(".axis-switch");
    const figures = [...element.querySelectorAll("figure")].map((figure) => new Figure(figure));
    let submissions = [];
    let timer = 0;
    let isLoading = false;
    let isOutdated = false;

    const draw = (anew) => {
      const axis = axisSwitch.querySelector("input:checked").value;
      for (const figure of figures) figure.draw(submissions, axis, anew);
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
      if (submissions.some((submission) => submission.active) || !submissions.length) plan();
    };

    const fetchAndDraw = async () => {
      try {
        submissions = await Promise.all(urls.map(async (url) => {
          const response = await fetch(url, { headers: { Accept: "application/json" } });
          if (!response.ok) throw new Error(`the server answered ${response.status}`);
          return response.json();
        }));
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

    axisSwitch.addEventListener("change", () => draw(true));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
    load();
  };

  for (const element of document.querySelectorAll("[data-curves]")) start(element);
})();
