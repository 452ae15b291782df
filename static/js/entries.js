/* Entries of a form that are shown one after the other: [data-entries] holds [data-entry] fieldsets, hidden and disabled
   until [data-entry-add] shows the next one. Without this file the page shows the first. */
(() => {
  "use strict";
  const show = (entry, isShown) => { entry.hidden = !isShown; entry.disabled = !isShown; };
  document.querySelectorAll("[data-entries]").forEach((box) => {
    const entries = [...box.querySelectorAll("[data-entry]")];
    const add = box.querySelector("[data-entry-add]");
    const remove = box.querySelector("[data-entry-remove]");
    const updateButtons = () => {
      const shown = entries.filter((entry) => !entry.hidden).length;
      add.disabled = shown === entries.length;
      remove.disabled = shown < 2;
    };
    add.addEventListener("click", () => {
      const next = entries.find((entry) => entry.hidden);
      show(next, true);
      updateButtons();
      next.querySelector("input:not([type=hidden]), select, textarea")?.focus();
    });
    remove.addEventListener("click", () => { show(entries.findLast((entry) => !entry.hidden), false); updateButtons(); });
    // A script that fills the form sends "entries:show", with a function of (entry, index) that returns whether to show it.
    box.addEventListener("entries:show", (event) => { entries.forEach((entry, at) => show(entry, event.detail(entry, at))); updateButtons(); });
    updateButtons();
  });
})();
