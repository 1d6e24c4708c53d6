// Keeps the document's language in step with the switch, and starts in the browser's own. Works without it, too.
(function () {
  var german = document.getElementById("language-de");
  var english = document.getElementById("language-en");
  function tell() { document.documentElement.lang = english.checked ? "en" : "de"; }
  if (location.hash === "#en" || (location.hash !== "#de" && !/^de/i.test(navigator.language || "de"))) {
    english.checked = true;
  }
  german.addEventListener("change", tell);
  english.addEventListener("change", tell);
  tell();
})();
