// main — starts the page.
document.documentElement.dataset.ready = "yes";
