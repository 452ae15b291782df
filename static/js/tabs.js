/* Turns sections into tabs: <div data-tabs="language" data-label="…"> contains sections <section data-tab="Python">, each
   with a heading. The choice is remembered in this browser and applies to every list of tabs with the same name. Also:
   data-download="file" saves the code of its section. Without this file the sections are shown one below the other. */
(() => {
  "use strict";
  const remembered = (name) => { try { return localStorage.getItem(`tab-${name}`); } catch { return null; } };
  const remember = (name, value) => { try { localStorage.setItem(`tab-${name}`, value); } catch { /* storage is blocked: the choice applies to this page only */ } };
  let made = 0;

  const build = (box) => {
    const sections = [...box.querySelectorAll(":scope > [data-tab]")];
    const list = document.createElement("div");
    list.className = "tabs code-list";
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", box.dataset.label);
    const select = (tab, focus) => {
      tabs.forEach((one, at) => {
        one.setAttribute("aria-selected", String(one === tab));
        one.tabIndex = one === tab ? 0 : -1;
        sections[at].hidden = one !== tab;
      });
      if (focus) tab.focus();
    };
    const tabs = sections.map((section) => {
      const tab = document.createElement("button");
      section.id ||= `tab-panel-${made += 1}`;
      Object.assign(tab, { type: "button", id: `${section.id}-tab`, textContent: section.dataset.tab });
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", section.id);
      tab.addEventListener("click", () => { select(tab); remember(box.dataset.tabs, section.dataset.tab); });
      section.setAttribute("role", "tabpanel");
      section.setAttribute("aria-labelledby", tab.id);
      section.querySelector("h3")?.remove();
      list.append(tab);
      return tab;
    });
    list.addEventListener("keydown", (event) => {
      const at = tabs.indexOf(document.activeElement);
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const tab = tabs[(to + tabs.length) % tabs.length];
      select(tab, true);
      remember(box.dataset.tabs, tab.textContent);
    });
    box.prepend(list);
    box.classList.add("is-on");
    select(tabs.find((tab) => tab.textContent === remembered(box.dataset.tabs)) ?? tabs[0]);
  };
  const buildAll = (root) => root.querySelectorAll("[data-tabs]:not(.is-on)").forEach(build);

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-download]");
    if (!button) return;
    const text = button.closest("[data-tab]").querySelector("pre code").textContent;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    link.download = button.dataset.download;
    link.click();
    URL.revokeObjectURL(link.href);
  });

  buildAll(document);
  document.addEventListener("htmx:afterSwap", (event) => buildAll(event.target));
})();
