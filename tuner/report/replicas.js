// Replicas for the demand that the reader types in, by the rule of tuner/planning/replicas.py:
// demand / (lower end of the capacity's interval x (1 - headroom)), rounded up, and the spare ones.
(() => {
  const form = document.getElementById("planner");
  const read = (name) => {
    const field = form.elements[name];
    return field.value !== "" && field.validity.valid ? field.valueAsNumber : NaN;
  };
  const text = (number, digits) =>
    Number.isFinite(number) ? number.toLocaleString("en-US", { maximumFractionDigits: digits }) : "-";
  const share = (number) => (Number.isFinite(number) ? `${text(100 * number, 0)} %` : "-");
  const rows = form.querySelectorAll("tr[data-low]");
  const fill = () => {
    const [demand, headroom, spare, price] = ["demand", "headroom", "spare", "price"].map(read);
    for (const row of rows) {
      const [low, middle, high] = ["low", "middle", "high"].map((name) => Number(row.dataset[name]));
      const usable = low * (1 - headroom / 100);
      const replicas = usable > 0 ? Math.max(1, Math.ceil(demand / usable * (1 - 1e-9))) + spare : NaN;
      const used = [high, middle, low].map((capacity) => demand / (replicas * capacity));
      const cost = replicas * price;
      const cells = [
        text(replicas, 0),
        Number.isFinite(used[1]) ? `${share(used[1])} (${share(used[0])} to ${share(used[2])})` : "-",
        text(cost, 2),
        text(cost / (demand * 3600) * 1e6, 4),
      ];
      row.querySelectorAll("td").forEach((cell, number) => { cell.textContent = cells[number]; });
    }
  };
  // In a sentence for those who hear the page: what changed, not the whole table.
  const tell = () => {
    const [title, replicas] = rows[0].cells;
    form.querySelector("[role=status]").textContent = `${title.textContent}, replicas: ${replicas.textContent}`;
  };
  form.hidden = false;
  form.addEventListener("input", () => { fill(); tell(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  fill();
})();
