// The script of the pages. All pages work without it. It loads the page again while nothing on it
// is focused, and goes from one message to the next with the keys j and k.
#include "milter/desk/frame.h"

namespace desk {

const std::string_view kScript = R"("use strict";
const every = 10000; // ms
const live = new Set(["/", "/messages", "/health"]);

function busy() {
  const on = document.activeElement;
  const picked = window.getSelection && String(window.getSelection()) !== "";
  return document.hidden || picked || (on && on !== document.body) || document.querySelector("details[open]");
}

async function again() {
  if (busy() || new URLSearchParams(location.search).has("before")) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || busy()) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main");
    if (fresh) document.querySelector("main").replaceWith(document.adoptNode(fresh));
  } catch (error) {
    // The desk is being restarted; the next time it may be there.
  }
}

function step(by) {
  const links = [...document.querySelectorAll("tbody th a")];
  if (links.length === 0) return;
  const next = links.indexOf(document.activeElement) + by;
  links[Math.max(0, Math.min(links.length - 1, next))].focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select")) return;
  if (event.key === "j") step(1);
  if (event.key === "k") step(-1);
  if (event.key === "Escape" && document.activeElement) document.activeElement.blur();
});

if (live.has(location.pathname)) setInterval(again, every);
)";

}  // namespace desk
