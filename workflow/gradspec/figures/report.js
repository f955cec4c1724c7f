"use strict";
// Put into Snakemake's report by gradspec.figures.report; `app` and `results` are Snakemake's.
{
  const narrow = () => innerWidth < 768;
  const words = (html) => new DOMParser().parseFromString(html || "", "text/html").body.textContent.trim();
  const nameOf = (path) => Object.values(results[path].labels || { name: results[path].name }).join(", ");

  function describe(picture) {
    const shown = Object.keys(results).find((path) => results[path].data_uri === picture.src);
    const text = shown ? `${nameOf(shown)}. ${words(results[shown].caption)}` : "";
    picture.setAttribute(picture.matches("iframe") ? "title" : "alt", text);
    picture.dataset.described = picture.src;
  }
  function nameButton(link) {
    const row = link.closest("tr");
    const cells = row ? [...row.querySelectorAll("td")].map((cell) => cell.textContent.trim()).filter(Boolean) : [];
    const action = link.previousElementSibling?.matches("a") ? "Describe" : "Show";
    link.setAttribute("aria-label", row ? `${action} ${cells.join(", ")}`
      : link.closest("h1") ? "Close the menu" : link.closest("nav") ? "Menu" : "Open the menu");
  }
  function amend() {
    document.querySelectorAll("#app :is(img, iframe)").forEach((picture) => {
      if (!picture.closest(".overview") && picture.dataset.described !== picture.src) describe(picture);
    });
    document.querySelectorAll("#app a:not([aria-label])").forEach((link) => {
      if (!link.textContent.trim()) nameButton(link);
    });
    document.querySelectorAll("#app input:not([aria-label])").forEach((input) =>
      input.setAttribute("aria-label", input.placeholder || "Search"));
    // The keyboard does not enter a menu that is closed.
    document.querySelectorAll("#app > div > nav").forEach((nav) => { nav.inert = nav.classList.contains("w-0"); });
  }
  function begin() {
    if (!app) return setTimeout(begin, 10);
    // On a narrow screen the menu lies over the page: it starts closed, and closes when something to see is chosen.
    const setView = app.setView;
    // The house in the menu leads to metadata, and where there are none to an empty page: to the first page instead.
    const first = app.state.content;
    app.setView = (view) => setView({ hideNavbar: narrow() && view.content !== undefined && view.content !== "metadata",
      ...view, ...(view.content === "metadata" ? { content: first } : {}) });
    new MutationObserver(amend).observe(document.querySelector("#app"),
      { childList: true, subtree: true, attributes: true, attributeFilter: ["src", "class"] });
    app.setView({ content: first });
  }
  begin();
}
