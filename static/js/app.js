/* Enhancements for pages that also work without them: menus that close, copy buttons, live counters,
   confirmation of destructive actions, and protection from double submission. No library, no inline code. */
(() => {
  "use strict";

  // Menus (<details class="menu">): one open at a time, closed by Escape or a click elsewhere.
  const menus = () => document.querySelectorAll("details.menu[open]");
  document.addEventListener("click", (event) => {
    menus().forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menus().forEach((menu) => { menu.open = false; menu.querySelector("summary").focus(); });
  });

  // A menu of a row is a popover, so that the table does not clip it: below its button, or above if there is no space.
  document.addEventListener("toggle", (event) => {
    const menu = event.target;
    if (!menu.matches?.(".menu-list[popover]") || event.newState !== "open") return;
    const button = document.querySelector(`[popovertarget="${menu.id}"]`).getBoundingClientRect();
    menu.classList.add("is-placed");
    const top = button.bottom + 4 + menu.offsetHeight > innerHeight ? button.top - 4 - menu.offsetHeight : button.bottom + 4;
    menu.style.top = `${Math.max(8, top)}px`;
    menu.style.left = `${Math.max(8, Math.min(button.right - menu.offsetWidth, innerWidth - menu.offsetWidth - 8))}px`;
  }, true);
  addEventListener("scroll", () => document.querySelectorAll(".menu-list:popover-open").forEach((menu) => menu.hidePopover()), true);

  // Copy the text of the block next to the button, or of the element named by data-copy.
  const showButtons = (root) => root.querySelectorAll("[data-copy], [data-needs-js]").forEach((one) => { one.hidden = false; });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = button.dataset.copy ? document.getElementById(button.dataset.copy) : button.parentElement.querySelector("code");
    const text = source.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    const label = button.textContent;
    button.textContent = document.documentElement.lang === "en" ? "Copied" : "已复制";
    setTimeout(() => { button.textContent = label; }, 1500);
  });

  // data-fold="id": folds all parts of a JSON text below its first level, or opens them again.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-fold]");
    if (!button) return;
    const parts = [...document.getElementById(button.dataset.fold).querySelectorAll("details details")];
    const isOpen = parts.some((part) => part.open);
    parts.forEach((part) => { part.open = !isOpen; });
  });

  // data-confirm="consequence": a confirmation before the form is submitted; hx-confirm likewise for htmx requests.
  const ask = (question, act, onYes) => {
    const box = document.getElementById("confirm");
    document.getElementById("confirm-text").textContent = question;
    box.querySelector("[data-confirm-yes]").textContent = act || "OK";
    box.returnValue = "";
    box.onclose = () => { if (box.returnValue === "yes") onYes(); };
    box.showModal();
  };
  document.addEventListener("htmx:confirm", (event) => {
    const { question, triggeringEvent } = event.detail;
    if (!question) return;
    event.preventDefault(); // otherwise htmx shows the browser's own dialog
    const button = triggeringEvent?.submitter;
    const send = () => event.detail.issueRequest(true);
    if (button?.hasAttribute("data-unasked")) send(); else ask(question, button?.querySelector(".when-ready")?.textContent ?? button?.textContent.trim(), send);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const question = event.submitter?.dataset.confirm ?? form.dataset.confirm;
    if (question && !form.dataset.confirmed) {
      event.preventDefault();
      event.stopImmediatePropagation();
      ask(question, event.submitter?.textContent.trim(), () => {
        form.dataset.confirmed = "1";
        const yes = document.createElement("input"); // the field that the confirmation page adds too (console/confirmation.py)
        Object.assign(yes, { type: "hidden", name: "confirmed", value: "1" });
        form.append(yes);
        form.requestSubmit(event.submitter);
      });
      return;
    }
    // Submit each form once: ignore the second click of a double click. The server enforces this with the form's token.
    if (form.method === "post" && !form.hasAttribute("hx-post")) {
      if (form.classList.contains("is-sending")) { event.preventDefault(); return; }
      form.classList.add("is-sending");
      form.setAttribute("aria-busy", "true");
    }
  });
  addEventListener("pageshow", () => document.querySelectorAll(".is-sending").forEach((form) => {
    form.classList.remove("is-sending");
    form.removeAttribute("aria-busy");
    delete form.dataset.confirmed;
  }));

  // Apply the manual's rule for names while typing: data-name-pattern is the pattern of the form and the database,
  // data-name-rule the length in code points, as on the server.
  const checkName = (input) => {
    const text = input.value.trim();
    const length = Array.from(text).length;
    const counter = document.getElementById(input.id + "_counter");
    if (counter) counter.textContent = `${length}/${input.dataset.nameRule}`;
    const broken = !new RegExp(input.dataset.namePattern, "u").test(text);
    input.setCustomValidity(broken ? input.dataset.nameMessage : "");
    const box = document.getElementById(input.id + "_live");
    if (box) box.hidden = !broken || Boolean(document.getElementById(input.id + "_error"));
    if (broken) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
  };
  document.addEventListener("input", (event) => {
    if (!event.target.dataset.nameRule) return;
    const served = document.getElementById(event.target.id + "_error");
    if (served) served.remove();
    checkName(event.target);
  });

  // The theme button inverts the current theme, which is the system's if none was chosen.
  const theme = document.querySelector("[data-theme-switch]");
  theme?.addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme === "dark"
      || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    theme.value = dark ? "light" : "dark";
  });

  // The switches of the top bar (region, language, theme) reload the page: the input of a form marked
  // data-kept-by-switches is passed in the address, from which the form is filled again.
  document.addEventListener("submit", (event) => {
    const next = event.target.querySelector("[data-next]");
    const kept = document.querySelector("form[data-kept-by-switches]");
    if (!next || !kept) return;
    const values = new URLSearchParams(new FormData(kept));
    values.delete("region");
    next.value = `${location.pathname.replace(/confirm\/$/, "new/")}?${values}`;
  }, true);

  // data-shows="name=value": a part of a form that is shown only for this choice.
  const showParts = () => document.querySelectorAll("[data-shows]").forEach((part) => {
    const [name, values] = part.dataset.shows.split("=");
    const field = part.closest("form").elements[name];
    const match = values.split("|").includes(field?.value ?? "");
    part.hidden = !match;
    part.classList.remove("unchosen");
    part.querySelectorAll("input, select, textarea").forEach((one) => { one.disabled = !match; });
  });
  document.addEventListener("change", showParts);

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-step]");
    if (!button) return;
    const input = document.getElementById(button.dataset.for);
    if (button.dataset.step > 0) input.stepUp(); else input.stepDown();
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // If an htmx request gets no reply (offline, timeout) or an error page, show a message where the page provides for it.
  const showFailure = (kind, status) => {
    const box = document.querySelector("[data-request-failed]");
    if (!box) return;
    const text = box.querySelector("p");
    text.textContent = text.dataset[kind].replace("{n}", status);
    box.hidden = false;
  };
  document.addEventListener("htmx:beforeRequest", () => document.querySelectorAll("[data-request-failed]").forEach((box) => { box.hidden = true; }));
  document.addEventListener("htmx:sendError", () => showFailure("offline"));
  document.addEventListener("htmx:timeout", () => showFailure("offline"));
  document.addEventListener("htmx:responseError", (event) => showFailure("refused", event.detail.xhr.status));

  // Show a message while the browser is offline.
  addEventListener("offline", () => showFailure("offline"));
  addEventListener("online", () => document.querySelectorAll("[data-request-failed]").forEach((box) => { box.hidden = true; }));

  // At logout, delete the request history that this browser stores (explorer.js).
  document.addEventListener("submit", (event) => {
    if (!event.target.hasAttribute("data-logout")) return;
    try { Object.keys(localStorage).filter((key) => key.startsWith("explorer-history-")).forEach((key) => localStorage.removeItem(key)); } catch { /* storage is blocked, so nothing was stored */ }
  });

  // A dialog that is part of the page is opened as modal at once. Its content is removed when it is closed.
  const openDialogs = () => document.querySelectorAll("dialog[data-modal]").forEach((box) => {
    box.open = false;
    box.showModal();
    box.querySelector(".btn-primary")?.focus();
    box.addEventListener("close", () => box.remove());
    box.querySelector("[data-close]")?.addEventListener("click", (event) => { event.preventDefault(); box.close(); });
  });

  const start = () => {
    showButtons(document);
    openDialogs(); // after showButtons, because the copy button gets the focus
    document.querySelectorAll("[data-name-rule]").forEach((input) => { if (!input.value) return; checkName(input); });
    document.querySelectorAll("[data-submit-on-change]").forEach((one) => one.addEventListener("change", () => one.form.requestSubmit()));
    showParts();
    // Focus the error: the form's message, or the first invalid field.
    document.querySelector("main :is([data-refusal], [aria-invalid='true'])")?.focus();
    // On a phone the navigation is one scrolling row: scroll to the current page.
    if (!location.hash) document.querySelectorAll("nav [aria-current='page']").forEach((link) => link.scrollIntoView({ block: "nearest", inline: "center" }));
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
  document.addEventListener("htmx:afterSwap", (event) => { showButtons(event.target); showParts(); });
  document.addEventListener("htmx:oobAfterSwap", showParts);
})();
