/* The debugger's comforts: dropped and pasted pictures become chosen files, thumbnails, and the browser's own copy of a
   picture is shown under the marks that the server drew. Without this file the form still works. */
(() => {
  "use strict";
  const input = document.getElementById("files");
  if (!input) return;
  const drop = document.getElementById("drop");
  const thumbs = document.getElementById("thumbs");
  const sample = document.querySelector("input[name=sample]");
  let sent = [];

  const choose = (files) => {
    const kept = new DataTransfer();
    files.forEach((file) => kept.items.add(file));
    input.files = kept.files;
    show();
  };
  const thumb = (file, at) => {
    const item = document.createElement("li");
    const image = new Image();
    image.src = URL.createObjectURL(file);
    image.alt = file.name;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `${thumbs.dataset.remove} ${file.name}`);
    remove.addEventListener("click", () => { choose([...input.files].filter((_file, index) => index !== at)); input.focus(); });
    item.append(image, remove);
    return item;
  };
  const show = () => {
    thumbs.querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
    thumbs.replaceChildren(...Array.from(input.files, thumb));
    if (sample && input.files.length) sample.checked = false;
  };
  const add = (files) => choose([...input.files, ...files]);
  const pictures = (transfer) => Array.from(transfer?.files ?? []).filter((file) => /^image\//.test(file.type));

  input.addEventListener("change", show);
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("is-over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("is-over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("is-over"); add(pictures(event.dataTransfer)); });
  document.addEventListener("paste", (event) => {
    const files = pictures(event.clipboardData);
    if (files.length) { event.preventDefault(); add(files); }
  });

  document.getElementById("debug-form").addEventListener("htmx:beforeRequest", () => { sent = Array.from(input.files); });
  document.addEventListener("htmx:afterSwap", (event) => {
    event.target.querySelectorAll("img[data-local]").forEach((image) => {
      const file = sent[Number(image.dataset.local)];
      if (file) image.src = URL.createObjectURL(file);
    });
    fit(event.target);
    if (innerWidth < 900) event.target.scrollIntoView({ block: "start" });
  });
  // A picture behind a URL: its size is known only once it is here.
  const fit = (root) => root.querySelectorAll("svg[data-fit]").forEach((svg) => {
    const image = svg.parentElement.querySelector("img");
    const set = () => svg.setAttribute("viewBox", `0 0 ${image.naturalWidth} ${image.naturalHeight}`);
    if (image.complete && image.naturalWidth) set(); else image.addEventListener("load", set);
  });
  fit(document);
})();
