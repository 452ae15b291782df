/* The live page without news: after data-stale-after-s seconds it turns grey and shows the time since the last update.
   The time since the last successful refresh counts, whatever the cause: server gone, error page, network off. */
(() => {
  "use strict";
  const live = document.getElementById("live");
  const note = document.getElementById("stale");
  let freshAt = performance.now();
  const show = () => {
    const age = Math.floor((performance.now() - freshAt) / 1000);
    const isStale = age >= Number(live.dataset.staleAfterS);
    live.classList.toggle("is-stale", isStale);
    note.hidden = !isStale;
    if (isStale) note.querySelector("p").textContent = note.dataset.text.replace("{n}", age);
  };
  live.addEventListener("htmx:afterSwap", () => { freshAt = performance.now(); show(); });
  setInterval(show, 1000);
})();
