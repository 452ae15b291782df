/* Draws every <canvas data-chart="id"> from the JSON in <script type="application/json" id="id">:
   {labels: [..], unit: "次", series: [{label, values, colour: 1-5}], kind: "line" | "bar" | "ranks", stacked: bool,
    progress: "截至 01:20" | "", links: [address of each label], marks: [{first, last, text}]}
   Ranks are horizontal bars, each beside its full name. With `progress`, the last step that has values is still in
   progress: its line is dotted, its bar pale, and its tooltip states the time of the data. Marks are bands behind the
   steps from first to last; the tooltip of such a step ends with their texts.
   Colours are the stylesheet's tokens; the charts are redrawn when the theme changes. Needs Chart.js. */
(() => {
  "use strict";
  const charts = [];
  const probe = document.createElement("span");
  probe.hidden = true;
  const token = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const fade = (colour, alpha) => {
    const parts = colour.match(/[\d.]+/g);
    return parts ? `rgba(${parts[0]}, ${parts[1]}, ${parts[2]}, ${alpha})` : colour;
  };

  // A band over the steps of each mark, with a bar on top that is visible even if the values are high.
  const bands = (marks) => ({
    id: "bands",
    beforeDatasetsDraw: ({ ctx, chartArea: area, scales: { x } }) => {
      const colour = token("--bad");
      const half = x.getPixelForValue(1) - x.getPixelForValue(0) || area.width;
      const steps = new Set(marks.flatMap((mark) => Array.from({ length: mark.last - mark.first + 1 }, (_, index) => mark.first + index)));
      ctx.save();
      steps.forEach((step) => {
        const left = Math.max(area.left, x.getPixelForValue(step) - half / 2);
        const right = Math.min(area.right, x.getPixelForValue(step) + half / 2);
        ctx.fillStyle = fade(colour, 0.1);
        ctx.fillRect(left, area.top, right - left, area.height);
        ctx.fillStyle = fade(colour, 0.9);
        ctx.fillRect(left, area.top, right - left, 3);
      });
      ctx.restore();
    },
  });

  const draw = (canvas) => {
    const data = JSON.parse(document.getElementById(canvas.dataset.chart).textContent);
    const isRanks = data.kind === "ranks";
    const kind = isRanks ? "bar" : data.kind || "line";
    const text = token("--text-2");
    const current = data.progress ? Math.max(...data.series.map((series) => series.values.length)) - 1 : -1;
    const number = new Intl.NumberFormat(document.documentElement.lang);
    const names = { stacked: Boolean(data.stacked), grid: { display: false }, border: { color: token("--line") }, ticks: { color: text, maxRotation: 0, autoSkip: !isRanks, autoSkipPadding: 18, font: { size: 11 } } };
    const values = { stacked: Boolean(data.stacked), beginAtZero: true, grid: { color: token("--chart-grid") }, border: { display: false }, ticks: { color: text, precision: 0, maxTicksLimit: 6, font: { size: 11 }, callback: (value) => number.format(value) } };
    const marks = data.marks ?? [];
    const chart = new Chart(canvas, {
      type: kind,
      plugins: marks.length ? [bands(marks)] : [],
      data: {
        labels: data.labels,
        datasets: data.series.map((series) => {
          const colour = token(`--chart-${series.colour}`);
          return {
            label: series.label, data: series.values, borderColor: colour, backgroundColor: kind === "bar" ? (bar) => fade(colour, bar.dataIndex === current ? 0.45 : 1) : fade(colour, 0.08),
            segment: { borderDash: (line) => (line.p1DataIndex === current ? [2, 4] : undefined) },
            fill: kind === "line" && data.series.length === 1, borderWidth: kind === "bar" ? 0 : 2, borderDash: series.dashed ? [5, 4] : [],
            pointRadius: data.labels.length > 40 ? 0 : 2.5, pointHoverRadius: 5, pointBackgroundColor: colour, spanGaps: false, maxBarThickness: 26,
          };
        }),
      },
      options: {
        responsive: true, maintainAspectRatio: false, animation: false,
        onClick: (_event, items) => { const link = items.length && data.links?.[items[0].index]; if (link) location.assign(link); },
        onHover: (event, items) => { event.native.target.style.cursor = items.length && data.links?.[items[0].index] ? "pointer" : ""; },
        layout: { padding: { top: canvas.parentElement.querySelector(".chart-unit") && data.series.length === 1 ? 26 : 0 } }, // space for the unit, which is beside the legend if there is one
        indexAxis: isRanks ? "y" : "x", interaction: { mode: "index", axis: isRanks ? "y" : "x", intersect: false },
        font: { family: getComputedStyle(document.body).fontFamily },
        plugins: {
          legend: { display: data.series.length > 1, position: "top", align: "end", labels: { color: text, usePointStyle: true, pointStyle: kind === "bar" ? "rect" : "line", boxWidth: kind === "bar" ? 9 : 22, font: { size: 12 } } },
          tooltip: {
            backgroundColor: token("--surface"), titleColor: token("--text"), bodyColor: token("--text"), borderColor: token("--line-strong"), borderWidth: 1,
            padding: 10, usePointStyle: true, boxPadding: 4,
            callbacks: { title: (items) => (items[0].dataIndex === current ? `${items[0].label}  ${data.progress}` : items[0].label),
              label: (item) => ` ${item.dataset.label}  ${number.format(item.parsed[isRanks ? "x" : "y"])}${data.unit ? " " + data.unit : ""}`,
              footer: (items) => marks.filter((mark) => items[0].dataIndex >= mark.first && items[0].dataIndex <= mark.last).map((mark) => mark.text) },
            footerColor: token("--bad"),
          },
        },
        scales: isRanks ? { x: values, y: names } : { x: names, y: values },
      },
    });
    charts.push(chart);
  };

  const drawAll = () => {
    charts.splice(0).forEach((chart) => chart.destroy());
    document.body.append(probe);
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    document.querySelectorAll("canvas[data-chart]").forEach(draw);
  };
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
})();
