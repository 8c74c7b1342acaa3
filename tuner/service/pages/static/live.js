// Follows the events of the service, and has those parts of the page asked for again that they are
// about: elements with the event's name in data-news. A page that nobody looks at does not follow.
(() => {
  const NAMES = [
    "job_began", "trial_began", "phase_began", "point_measured", "trial_ended", "state_changed",
    "host_changed", "said", "job_ended", "job_changed",
  ];
  const OVER = ["done", "failed", "cancelled"];
  const AGAIN_MS = 5000;
  // So long what happens is gathered before a part is asked for again.
  const GATHERED_MS = 500;

  const place = document.querySelector("[data-events]");
  let source = null;
  let last = place ? place.dataset.after || "" : "";
  let over = false;

  const waiting = new Set();
  const renew = (part) => {
    // A button must not go away under the finger that presses it.
    if (part.matches(":active")) setTimeout(renew, GATHERED_MS, part);
    else if (waiting.delete(part) && part.isConnected) htmx.trigger(part, "news");
  };
  const renewSoon = (part) => {
    if (waiting.has(part)) return;
    waiting.add(part);
    setTimeout(renew, GATHERED_MS, part);
  };

  const say = (text, lost) => {
    place.textContent = text;
    place.classList.toggle("lost", lost);
  };

  const told = (event) => {
    last = event.lastEventId || last;
    const detail = JSON.parse(event.data);
    document.dispatchEvent(new CustomEvent(`tuner:${event.type}`, { detail }));
    for (const part of document.querySelectorAll("[data-news]")) {
      if (part.dataset.news.split(" ").includes(event.type)) renewSoon(part);
    }
    if (event.type !== "job_changed") return;
    say(`Live: ${detail.study} is ${detail.state}.`, false);
    if ("job" in place.dataset && OVER.includes(detail.state)) {
      over = true;
      source.close();
      say(`This job is over: ${detail.state}.`, false);
    }
  };

  const follow = () => {
    if (source) source.close();
    const address = new URL(place.dataset.events, location.href);
    if (last) address.searchParams.set("after", last);
    source = new EventSource(address);
    source.onopen = () => say("Live: this page follows what happens.", false);
    source.onerror = () => {
      if (over) return;
      say("The connection is lost; trying again.", true);
      if (source.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || follow(), AGAIN_MS);
    };
    for (const name of NAMES) source.addEventListener(name, told);
  };

  if (place) {
    document.addEventListener("visibilitychange", () => {
      if (over) return;
      if (document.hidden) {
        if (source) source.close();
      } else {
        follow();
        for (const part of document.querySelectorAll("[data-news]")) htmx.trigger(part, "news");
      }
    });
    if (!document.hidden) follow();
  }

  // The value of a slider beside it.
  for (const slider of document.querySelectorAll("input[type=range][data-output]")) {
    const output = document.getElementById(slider.dataset.output);
    const show = () => { output.value = `${slider.value} ms`; };
    slider.addEventListener("input", show);
    show();
  }
})();
