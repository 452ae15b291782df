/* Marks the live page as stale: data-stale-after-s seconds after the last successful refresh, it turns grey and shows how
   long ago that was, whatever the cause: server down, error page, no network. */
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
