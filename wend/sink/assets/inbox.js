// Replaces the list by the server's current one every few seconds, while the page is looked at.
"use strict";

const EVERY_MS = 3000;
const live = document.getElementById("live");
const button = document.getElementById("refresh");
let on = true;

async function refresh() {
  if (!on || document.hidden || live.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("live");
    if (on && fresh.innerHTML !== live.innerHTML) live.replaceChildren(...fresh.childNodes);
    button.textContent = "Auto-refresh";
  } catch {
    button.textContent = "Auto-refresh (the sink does not answer)";
  }
}

button.hidden = false;
button.addEventListener("click", () => {
  on = !on;
  button.setAttribute("aria-pressed", String(on));
  if (on) refresh();
});
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, EVERY_MS);
