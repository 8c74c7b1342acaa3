// Draws latency against throughput from the table of load points that stands on the page.
(() => {
  const KINDS = [
    ["other", "other configurations", "others", "#8b949e", 6],
    ["defaults", "server's defaults", "defaults", "#d9822b", 9],
    ["best", "best configuration", "best", "#2f81d7", 9],
  ];
  const NARROW_PX = 480;
  const LAYOUT = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 13 },
    margin: { l: 58, r: 12, t: 8, b: 48 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    hovermode: "closest",
    hoverlabel: { bgcolor: "#22272e", font: { color: "#f0f3f6", size: 12 }, align: "left" },
  };

  const points = (table, tokens) => Array.from(table.tBodies[0].rows, (row) => {
    const [throughput, latency, kind, ...flags] = row.dataset.point.split(" ");
    return {
      trial: row.cells[0].textContent, x: Number(throughput), y: Number(latency), kind, flags,
      tokens: tokens ? [`${row.cells[2].textContent} output tokens/s`] : [],
    };
  });

  const cloud = (own, { unit, title }, [, name, color, size], stopped, named) => ({
    type: "scatter", mode: "markers", cliponaxis: false, name, x: own.map((p) => p.x), y: own.map((p) => p.y),
    marker: { color, size, symbol: stopped ? "x-thin-open" : "circle" },
    text: own.map((p) => [
      `trial ${p.trial}`, `${p.x.toLocaleString("en-US")} ${unit}`, ...p.tokens, `${title}: ${p.y} ms`,
      ...(stopped ? ["stopped early: over the limit"] : []),
    ].join("<br>")),
    hoverinfo: "text", legendgroup: name, showlegend: named && own.length > 0,
  });

  const traces = (found, said, narrow) => {
    const drawn = KINDS.flatMap(([name, long, short, ...look]) => {
      const kind = [name, narrow ? short : long, ...look];
      const own = found.filter((p) => p.kind === name);
      const steady = own.filter((p) => !p.flags.includes("stopped"));
      const stopped = own.filter((p) => p.flags.includes("stopped"));
      return [
        cloud(stopped, said, kind, true, steady.length === 0),
        cloud(steady, said, kind, false, true),
      ];
    });
    const front = found.filter((p) => p.flags.includes("front")).sort((a, b) => a.x - b.x);
    drawn.splice(2, 0, {
      type: "scatter", mode: "lines", name: narrow ? "front" : "Pareto front", x: front.map((p) => p.x), y: front.map((p) => p.y),
      line: { color: "#2a9d8f", width: 2 }, hoverinfo: "skip", showlegend: front.length > 1,
    });
    return drawn;
  };

  // 1, 2 and 5 times the powers of ten; finer where the values are less than a factor of 10 apart.
  const ticks = (found, limit) => {
    const values = found.map((point) => point.y).concat(limit > 0 ? [limit] : []);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const digits = most > 10 * least ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 7];
    const tickvals = [];
    for (let power = Math.floor(Math.log10(least)); power <= Math.log10(most) + 1; power += 1) {
      for (const digit of digits) tickvals.push(Number((digit * 10 ** power).toPrecision(3)));
    }
    return { tickmode: "array", tickvals, ticktext: tickvals.map(String) };
  };

  const draw = (place) => {
    const found = points(document.getElementById(place.dataset.table), "tokens" in place.dataset);
    if (found.length === 0) return;
    const { unit, latency, limit, budget } = place.dataset;
    const layout = {
      ...LAYOUT,
      xaxis: { title: { text: `throughput (${unit})` }, rangemode: "tozero", zeroline: false },
      yaxis: { title: { text: `${latency} (ms)` }, type: "log", zeroline: false, ...ticks(found, Number(limit)) },
    };
    if (Number(limit) > 0) {
      layout.shapes = [{
        type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: Number(limit), y1: Number(limit),
        line: { color: "#d1495b", dash: "dash", width: 1.5 },
      }];
      layout.annotations = [{
        xref: "paper", x: 0, xanchor: "left", yref: "y", y: Math.log10(Number(limit)), yanchor: "bottom",
        showarrow: false, text: `budget: ${budget.replace("<=", "≤")}`,
      }];
    }
    place.hidden = false;
    const narrow = place.clientWidth < NARROW_PX;
    Plotly.react(place, traces(found, place.dataset, narrow), layout, { displayModeBar: false, responsive: true });
  };

  const cell = (row, text, name) => {
    const made = row.insertCell();
    made.textContent = text;
    made.className = name;
  };

  // A load point that was measured just now; one that was told twice is there once.
  const add = (place, told) => {
    const { point, trial } = told;
    if (point.kind !== "open" || typeof point.latency_s !== "number") return;
    const body = document.getElementById(place.dataset.table).tBodies[0];
    const latency = Number((1e3 * point.latency_s).toPrecision(5));
    const throughput = Number(point.throughput.toPrecision(6));
    const text = `${throughput} ${latency} other${point.stopped_early ? " stopped" : ""}`;
    const same = Array.from(body.rows).some((row) =>
      row.cells[0].textContent === String(trial) && row.dataset.point.startsWith(`${throughput} ${latency} `));
    if (same) return;
    const row = body.insertRow(0);
    row.dataset.point = text;
    cell(row, trial, "number");
    cell(row, throughput.toLocaleString("en-US"), "number");
    if ("tokens" in place.dataset) cell(row, point.tokens_per_s?.toLocaleString("en-US", { maximumSignificantDigits: 3 }) ?? "-", "number");
    cell(row, latency, "number");
    cell(row, "other", "");
    cell(row, point.stopped_early ? "stopped early" : "", "");
    draw(place);
  };

  for (const place of document.querySelectorAll(".plot")) {
    draw(place);
    document.addEventListener("htmx:afterSwap", (event) => {
      if (event.detail.target.id === "points-part") draw(place);
    });
    document.addEventListener("tuner:point_measured", (event) => add(place, event.detail));
  }
})();
