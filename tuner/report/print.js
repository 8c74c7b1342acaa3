// Charts are as wide as the paper while they are printed, and as the page again afterwards.
(() => {
  const PAPER = 660;
  const resize = (width) => {
    for (const chart of document.querySelectorAll(".js-plotly-plot")) {
      Plotly.relayout(chart, width ? { width, autosize: false } : { width: null, autosize: true });
    }
  };
  window.addEventListener("beforeprint", () => resize(PAPER));
  window.addEventListener("afterprint", () => resize(0));
})();
