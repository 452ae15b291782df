/* The API explorer's request history, which stays in this browser. Without this file the form still works. */
(() => {
  "use strict";
  const form = document.getElementById("explorer-form");
  if (!form) return;
  const MOST = 20;
  const LONGEST = 2000; // a longer text is a picture, which is not kept
  const list = document.getElementById("history-list");
  const card = document.getElementById("history");
  const store = `explorer-history-${form.dataset.owner}`; // app.js removes explorer-history-* at logout

  const read = () => { try { return JSON.parse(localStorage.getItem(store)) ?? []; } catch { return []; } };
  const write = (calls) => { try { localStorage.setItem(store, JSON.stringify(calls)); } catch { /* storage is blocked: no history */ } };

  const showEntries = (isShown) => form.querySelector("[data-entries]").dispatchEvent(new CustomEvent("entries:show", { detail: isShown }));

  const fill = (call) => {
    form.reset();
    form.querySelectorAll("input[type=checkbox]").forEach((box) => { box.checked = false; });
    showEntries((_entry, at) => at === 0 || `data.${at}.on` in call.fields);
    Object.entries(call.fields).forEach(([name, value]) => {
      const field = form.elements[name];
      if (!field || field.type === "hidden") return;
      if (field.type === "checkbox") field.checked = true; else field.value = value;
      const folded = field.closest("details");
      if (folded) folded.open = true;
    });
    form.scrollIntoView({ block: "start" });
  };
  const again = (call) => {
    if (call.fields.app === form.elements.app.value && call.fields.api === form.elements.api.value) { fill(call); return; }
    location.assign(`?${new URLSearchParams({ app: call.fields.app, api: call.fields.api })}#again-${call.at}`);
  };

  const draw = () => {
    const calls = read();
    list.replaceChildren(...calls.map((call) => {
      const item = document.createElement("li");
      const name = Object.assign(document.createElement("span"), { className: "grow mono", textContent: call.fields.api });
      const beijing = new Date(call.at + 8 * 3600e3).toISOString().slice(0, 19).replace("T", " "); // as on all pages
      const time = Object.assign(document.createElement("span"), { className: "muted small nowrap", textContent: beijing });
      const code = Object.assign(document.createElement("span"), { className: `badge ${call.code === "0" ? "badge-good" : "badge-bad"}`, textContent: `code ${call.code}` });
      const button = Object.assign(document.createElement("button"), { className: "btn btn-s", type: "button", textContent: card.dataset.again });
      button.setAttribute("aria-label", `${card.dataset.again} ${call.fields.api} ${time.textContent}`);
      button.addEventListener("click", () => again(call));
      item.append(name, code, time, button);
      return item;
    }));
    if (!calls.length) list.replaceChildren(Object.assign(document.createElement("li"), { className: "muted", textContent: card.dataset.empty }));
  };
  document.getElementById("history-clear").addEventListener("click", () => { write([]); draw(); });

  let sent = {};
  form.addEventListener("htmx:configRequest", () => {
    const values = [...new FormData(form)].filter(([name, value]) => typeof value === "string" && value && value.length <= LONGEST && name !== "csrfmiddlewaretoken");
    sent = Object.fromEntries(values);
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const result = event.target.querySelector("[data-sent]");
    if (result) {
      const { code, http, ms } = result.dataset;
      write([{ at: Date.now(), code, http, ms, fields: sent }, ...read()].slice(0, MOST));
      draw();
    }
    if (innerWidth < 900) event.target.scrollIntoView({ block: "start" });
  });

  draw();
  const wanted = read().find((call) => location.hash === `#again-${call.at}`);
  if (wanted) fill(wanted);
})();
