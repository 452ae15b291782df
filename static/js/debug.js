/* Conveniences of the debugger: pictures can be dropped and pasted, chosen ones have thumbnails, and the browser shows its
   own copy of a picture under the marks that the server drew. Without this file the form still works. */
(() => {
  "use strict";
  const input = document.getElementById("files");
  if (!input) return;
  const drop = document.getElementById("drop");
  const thumbs = document.getElementById("thumbs");
  const sample = document.querySelector("input[name=sample]");
  const form = document.getElementById("debug-form");
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

  // The slots A and B of a comparison: each has one picture, and shows its name and thumbnail.
  const slots = [...document.querySelectorAll("[data-slot]")];
  const isComparison = () => form.elements.api.value === "face_compare";
  const fileOf = (slot) => slot.querySelector("input[type=file]").files[0];
  const isUsed = (slot) => !slot.closest("fieldset").disabled;
  const showSlot = (slot) => {
    const file = fileOf(slot);
    const text = slot.querySelector(".slot-text");
    slot.querySelectorAll("img").forEach((image) => { URL.revokeObjectURL(image.src); image.remove(); });
    text.textContent = file?.name ?? text.dataset.empty;
    if (file) text.before(Object.assign(new Image(), { src: URL.createObjectURL(file), alt: "" }));
  };
  const put = (slot, file) => {
    const kept = new DataTransfer();
    kept.items.add(file);
    slot.querySelector("input[type=file]").files = kept.files;
    showSlot(slot);
  };
  const putAll = (files, places) => files.slice(0, places.length).forEach((file, at) => put(places[at], file));

  const takesDrops = (label, take) => {
    label.addEventListener("dragover", (event) => { event.preventDefault(); label.classList.add("is-over"); });
    label.addEventListener("dragleave", () => label.classList.remove("is-over"));
    label.addEventListener("drop", (event) => { event.preventDefault(); label.classList.remove("is-over"); take(pictures(event.dataTransfer)); });
  };
  slots.forEach((slot, at) => {
    slot.querySelector("input[type=file]").addEventListener("change", () => showSlot(slot));
    takesDrops(slot.querySelector("label"), (files) => putAll(files, slots.slice(at).filter(isUsed)));
  });

  input.addEventListener("change", show);
  takesDrops(drop, add);
  document.addEventListener("paste", (event) => {
    const files = pictures(event.clipboardData);
    if (!files.length) return;
    event.preventDefault();
    if (isComparison()) putAll(files, slots.filter((slot) => isUsed(slot) && !fileOf(slot))); else add(files);
  });

  form.addEventListener("htmx:beforeRequest", () => {
    sent = isComparison() ? slots.filter(isUsed).map(fileOf).filter(Boolean) : Array.from(input.files);
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    event.target.querySelectorAll("img[data-local]").forEach((image) => {
      const file = sent[Number(image.dataset.local)];
      if (file) image.src = URL.createObjectURL(file);
    });
    fit(event.target);
    if (innerWidth < 900) event.target.scrollIntoView({ block: "start" });
  });
  // The size of a picture given by URL is known only after it was loaded.
  const fit = (root) => root.querySelectorAll("svg[data-fit]").forEach((svg) => {
    const image = svg.parentElement.querySelector("img");
    const set = () => svg.setAttribute("viewBox", `0 0 ${image.naturalWidth} ${image.naturalHeight}`);
    if (image.complete && image.naturalWidth) set(); else image.addEventListener("load", set);
  });
  fit(document);
})();
