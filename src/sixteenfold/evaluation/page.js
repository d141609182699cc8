"use strict";
// Each picture's slider: two of its overviews, the upper one cut off at the handle.
for (const picture of document.querySelectorAll(".picture")) {
  const images = [...picture.querySelectorAll(".slider img")];
  const [left, right] = picture.querySelectorAll("select");
  const range = picture.querySelector("input[type=range]");
  const handle = picture.querySelector(".handle");
  const tags = picture.querySelectorAll(".tag");
  const show = () => {
    images.forEach((image, i) => {
      const upper = i === Number(left.value);
      image.hidden = !upper && i !== Number(right.value);
      image.style.zIndex = upper ? 1 : 0;
      image.style.clipPath = upper ? `inset(0 ${100 - range.value}% 0 0)` : "";
    });
    handle.style.left = `${range.value}%`;
    tags[0].textContent = left.selectedOptions[0].text;
    tags[1].textContent = right.selectedOptions[0].text;
  };
  for (const control of [left, right, range]) control.addEventListener("input", show);
  const box = picture.querySelector(".slider");
  const follow = (event) => {
    const area = box.getBoundingClientRect();
    range.value = Math.round(100 * (event.clientX - area.left) / area.width);
    show();
  };
  box.addEventListener("pointerdown", (event) => { box.setPointerCapture(event.pointerId); follow(event); });
  box.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
  show();
}
// Crops of one place are magnified together, around the same point.
for (const row of document.querySelectorAll(".row")) {
  row.addEventListener("click", (event) => {
    const crop = event.target.closest(".crop");
    if (!crop) return;
    const zoomed = row.classList.toggle("zoomed");
    for (const button of row.querySelectorAll(".crop")) button.setAttribute("aria-pressed", String(zoomed));
  });
  // The arrow keys move the magnified point, as the pointer does.
  const point = { x: 50, y: 50 };
  const move = (x, y) => {
    point.x = Math.min(100, Math.max(0, x));
    point.y = Math.min(100, Math.max(0, y));
    row.style.setProperty("--x", `${point.x}%`);
    row.style.setProperty("--y", `${point.y}%`);
  };
  row.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] }[event.key];
    if (!step || !row.classList.contains("zoomed")) return;
    event.preventDefault();
    move(point.x + step[0], point.y + step[1]);
  });
  row.addEventListener("pointermove", (event) => {
    const view = event.target.closest(".crop")?.querySelector(".view");
    if (!view) return;
    const area = view.getBoundingClientRect();
    move(100 * (event.clientX - area.left) / area.width, 100 * (event.clientY - area.top) / area.height);
  });
}
