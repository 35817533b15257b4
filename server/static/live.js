// Renews a page while something on it is going on: fetches the same address and brings the
// regions marked with data-live up to date in place, so that scroll position, focus, open
// details, checked boxes and selected text stay. The page stops by itself once the
// server no longer asks for renewal with data-renew-seconds on the body.
"use strict";

(() => {
  const sign = document.getElementById("live-sign");
  let timer = 0;

  const seconds = () => Number(document.body.dataset.renewSeconds || 0);

  const show = (text, lost) => {
    sign.hidden = !text;
    sign.textContent = text;
    sign.classList.toggle("lost", lost);
  };

  const hasSelectionIn = (element) => {
    const selection = document.getSelection();
    return !selection.isCollapsed && element.contains(selection.anchorNode);
  };

  const isSame = (before, after) =>
    before.nodeName === after.nodeName &&
    before.dataset?.key === after.dataset?.key;

  const syncAttributes = (before, after) => {
    // Whether a details element is open is the reader's choice.
    const mine = (name) => name === "open" && before.nodeName === "DETAILS";
    for (const { name } of [...before.attributes]) {
      if (!after.hasAttribute(name) && !mine(name)) before.removeAttribute(name);
    }
    for (const { name, value } of after.attributes) {
      if (before.getAttribute(name) !== value && !mine(name)) before.setAttribute(name, value);
    }
  };

  const isKeyed = (element) => Boolean(element.firstElementChild?.dataset.key);

  // Rows keep their element for as long as they are there, wherever they move to.
  const morphRows = (before, after) => {
    const known = new Map([...before.children].map((row) => [row.dataset.key, row]));
    const wanted = new Set([...after.children].map((row) => row.dataset.key));
    for (const row of [...before.children]) if (!wanted.has(row.dataset.key)) row.remove();
    [...after.children].forEach((row, index) => {
      const present = known.get(row.dataset.key);
      const place = before.children[index] ?? null;
      if (present !== place) before.insertBefore(present ?? row, place);
      if (present) morph(present, row);
    });
  };

  const morph = (before, after) => {
    if (before.nodeType !== Node.ELEMENT_NODE) {
      if (before.nodeValue !== after.nodeValue) before.nodeValue = after.nodeValue;
      return;
    }
    syncAttributes(before, after);
    if (isKeyed(before) && isKeyed(after)) {
      morphRows(before, after);
      return;
    }
    const wanted = [...after.childNodes];
    wanted.forEach((child, index) => {
      const present = before.childNodes[index];
      if (!present) before.append(child);
      else if (isSame(present, child)) morph(present, child);
      else present.replaceWith(child);
    });
    while (before.childNodes.length > wanted.length) before.lastChild.remove();
  };

  const renew = async () => {
    const response = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const focused = document.activeElement;
    for (const region of document.querySelectorAll("[data-live]")) {
      const fresh = page.querySelector(`[data-live="${region.dataset.live}"]`);
      if (fresh && !hasSelectionIn(region)) morph(region, document.adoptNode(fresh));
    }
    // A row that moved up or down has lost the focus on its way.
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    if (page.body.dataset.renewSeconds) document.body.dataset.renewSeconds = page.body.dataset.renewSeconds;
    else delete document.body.dataset.renewSeconds;
  };

  const tick = async () => {
    if (document.hidden) return;
    try {
      await renew();
      show(seconds() ? `live, every ${seconds()} s` : "", false);
    } catch {
      show("no connection, trying again", true);
    }
    plan();
  };

  const plan = () => {
    clearTimeout(timer);
    if (seconds()) timer = setTimeout(tick, seconds() * 1000);
  };

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && seconds()) tick();
  });
  if (seconds()) show(`live, every ${seconds()} s`, false);
  plan();
})();
