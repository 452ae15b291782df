/* Enrolment of many pictures: each is sent separately, two at a time, and its row shows the result. A file that was
   enrolled leaves the form, so that sending again tries only the others. Without this file the form still works. */
(() => {
  "use strict";
  const form = document.getElementById("enrol-form");
  if (!form) return;
  const input = document.getElementById("files");
  const drop = document.getElementById("drop");
  const chosen = document.getElementById("chosen");
  const text = document.getElementById("progress-text");
  const bar = document.getElementById("progress-bar");
  const rows = document.getElementById("rows");
  const prompt = chosen.textContent;

  const choose = (files) => {
    const kept = new DataTransfer();
    files.forEach((file) => kept.items.add(file));
    input.files = kept.files;
    show();
  };
  const show = () => { chosen.textContent = input.files.length ? chosen.dataset.chosen.replace("{n}", input.files.length) : prompt; };
  const pictures = (transfer) => Array.from(transfer?.files ?? []).filter((file) => /^image\//.test(file.type));

  input.addEventListener("change", show);
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("is-over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("is-over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("is-over"); choose([...input.files, ...pictures(event.dataTransfer)]); });

  const send = async (file) => {
    const data = new FormData(form);
    data.delete("files");
    data.append("files", file);
    const reply = await fetch(form.action, { method: "POST", body: data, headers: { "X-Part": "rows" } });
    if (!reply.ok || reply.redirected) throw new Error(reply.status);
    const part = document.createElement("template");
    part.innerHTML = await reply.text();
    const done = Boolean(part.content.querySelector(".badge-good"));
    rows.append(part.content);
    return done;
  };

  form.addEventListener("submit", async (event) => {
    if (!window.FormData || !window.fetch) return;
    event.preventDefault();
    const waiting = [...input.files];
    const failed = [];
    const total = waiting.length;
    let sent = 0;
    const button = document.getElementById("enrol-go");
    button.disabled = true;
    rows.replaceChildren();
    document.getElementById("progress").hidden = document.getElementById("enrolled").hidden = false;
    const showProgress = () => { text.textContent = `${sent} ${text.dataset.of} ${total}`; bar.max = total; bar.value = sent; };
    showProgress();
    const work = async () => {
      while (waiting.length) {
        const file = waiting.shift();
        try { if (!(await send(file))) failed.push(file); } catch { failed.push(file); }
        sent += 1;
        showProgress();
      }
    };
    await Promise.all([work(), work()]);
    button.disabled = false;
    form.classList.remove("is-sending");
    choose(failed);
    refresh();
  });

  // The persons of the group and the units that are left, as they are now.
  const refresh = async () => {
    try {
      const reply = await fetch(location.href);
      const page = new DOMParser().parseFromString(await reply.text(), "text/html");
      ["group-persons", "units-left"].forEach((id) => document.getElementById(id).replaceWith(page.getElementById(id)));
    } catch { /* the next page shows them */ }
  };
})();
